//! Commands to speaker groups, from checked arguments.

use super::arguments::Number;
use super::registry::Registry;
use crate::core::Command;
use crate::ids::GroupId;
use pyo3::prelude::PyResult;

fn participant(number: Number) -> PyResult<u64> {
    number.within("participant", 0..=u64::MAX)
}

/// A producer competes in a group; the group's worker may have to mirror it first.
pub fn join(
    registry: &Registry,
    producer: Number,
    group: Number,
    owner: Number,
) -> PyResult<(GroupId, Option<Command>, Command)> {
    let participant = participant(owner)?;
    let (producer, group) = registry.speaker(producer.id(), group.id())?;
    let mirror = registry.mirror_for(group.0, producer).map(Command::Mirror);
    let command = Command::JoinSpeakers {
        producer,
        group,
        participant,
    };
    Ok((group, mirror, command))
}

/// Slots hear a group.
pub fn follow(
    registry: &Registry,
    slots: Vec<Number>,
    group: Number,
    listener: Number,
) -> PyResult<(GroupId, Command)> {
    let participant = participant(listener)?;
    let slots: Vec<u64> = slots.into_iter().map(Number::id).collect();
    let (slots, group) = registry.followers(&slots, group.id())?;
    let command = Command::FollowSpeakers {
        slots,
        group,
        participant,
    };
    Ok((group, command))
}
