#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fork_router_engine::fuzzing::receive_path(data));
