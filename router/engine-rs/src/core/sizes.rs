//! How large the state of a peer is. A peer that does nothing holds it for hours, and there are thousands of them: what
//! most peers never need is boxed or grows when it is needed.

use super::allocate::SlotShare;
use super::bandwidth::Bandwidth;
use super::producer::Producer;
use super::slots::SlotEntry;
use super::transport::Transport;
use std::mem::size_of;

#[test]
fn the_state_of_a_peer_stays_small() {
    let sizes = [
        ("Transport", size_of::<Transport>(), 640),
        ("Bandwidth", size_of::<Bandwidth>(), 960),
        ("SlotShare", size_of::<SlotShare>(), 512),
        ("SlotEntry, hot part", SlotEntry::HOT, 896),
        ("SlotEntry", size_of::<SlotEntry>(), 1_248),
        ("Producer", size_of::<Producer>(), 1_536),
    ];
    for (name, size, limit) in sizes {
        assert!(size <= limit, "{name}: {size} bytes, at most {limit}");
    }
}
