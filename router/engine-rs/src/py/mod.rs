//! The Python binding, `router._engine`: the only module that knows `PyO3`. Its contract is `router/_engine.pyi`.
//!
//! Invariants: the engine holds no Python object and its threads never attach to the interpreter; the interpreter is
//! released around everything that may wait; arguments are checked here, before they become commands.

mod arguments;
mod capture;
mod engine;
mod errors;
mod events;
mod media;
mod registry;
mod speakers;
mod stats;

use pyo3::prelude::*;

/// The compiled media engine; see `router/_engine.pyi`.
#[pymodule]
mod _engine {
    use super::arguments::Number;
    #[pymodule_export]
    use super::capture::PyCapture;
    #[pymodule_export]
    use super::engine::PyEngine;
    use super::errors::{config, guard};
    #[pymodule_export]
    use super::events::{
        Contributors, DtlsReceived, EncodingActive, EncodingsWanted, FirstFrame, PairSelected,
        ProducerSilent, SpeakersChanged, StunReceived, TransportLost, TransportRemoved,
    };
    use crate::srtp::libsrtp::SrtpFunction;
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};

    /// How this engine was built; a benchmark refuses a debug build.
    #[pyfunction]
    fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let info = PyDict::new(py);
        info.set_item("version", env!("CARGO_PKG_VERSION"))?;
        info.set_item(
            "profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        )?;
        info.set_item(
            "target",
            format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        )?;
        Ok(info)
    }

    /// Calls one libsrtp function on a copy of `packet`, as the engine does: (status, resulting bytes).
    #[pyfunction]
    #[pyo3(signature = (function, session, packet, room=Number::new(64)), text_signature = "(function, session, packet, room=64)")]
    fn srtp_apply<'py>(
        py: Python<'py>,
        function: Number,
        session: Number,
        packet: &[u8],
        room: Number,
    ) -> PyResult<(i32, Bound<'py, PyBytes>)> {
        guard(|| {
            let function = function.pointer("function")?;
            let session = session.pointer("session")?;
            let room = room.within("room", crate::srtp::SRTP_MAX_OVERHEAD..=4_096)?;
            let mut buffer = packet.to_vec();
            buffer.resize(packet.len() + room, 0);
            // SAFETY: the caller vouches for the address, as for those given to `Engine`.
            let function = unsafe { SrtpFunction::from_address(function) };
            let function = function.ok_or_else(|| config("function: it is null"))?;
            // SAFETY: the caller vouches for the session and uses it from this thread; the room was checked.
            let (status, len) = unsafe { function.call(session, &mut buffer, packet.len()) };
            let result = buffer.get(..len).unwrap_or_default();
            Ok((status, PyBytes::new(py, result)))
        })
    }
}
