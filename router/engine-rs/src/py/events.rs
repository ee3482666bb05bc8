//! The event classes of `_engine.pyi`: frozen, matchable by position, printable without their payload.

use super::arguments::address_to_python;
use crate::core::Event;
use crate::core::event::{LostReason, SilentReason};
use crate::ids::{GroupId, ProducerId};
use crate::speakers::GroupState;
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// Declares one event class: its fields, its `__match_args__`, its `repr`.
macro_rules! event {
    ($name:ident { $($field:ident: $type:ty),+ }) => {
        #[pyclass(frozen, get_all, module = "router._engine")]
        pub struct $name {
            $($field: $type,)+
        }

        #[pymethods]
        impl $name {
            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, [$(stringify!($field)),+])
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let fields = [$(format!("{}={}", stringify!($field), show(&self.$field, py)?)),+];
                Ok(format!("{}({})", stringify!($name), fields.join(", ")))
            }
        }
    };
}

/// How a field prints: as Python would, but only the length of a datagram, which may hold credentials.
trait Show {
    fn show(&self, py: Python<'_>) -> PyResult<String>;
}

fn show(field: &impl Show, py: Python<'_>) -> PyResult<String> {
    field.show(py)
}

impl Show for Py<PyBytes> {
    fn show(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<{} bytes>", self.as_bytes(py).len()))
    }
}

macro_rules! show_as_python {
    ($($type:ty),+) => {
        $(impl Show for $type {
            fn show(&self, py: Python<'_>) -> PyResult<String> {
                let object = self.clone().into_pyobject(py)?.into_any();
                Ok(object.repr()?.to_string())
            }
        })+
    };
}

type Address = (String, u16);
/// Not `Vec<u8>`, which Python would get as bytes.
type Encodings = Vec<u16>;
type Sources = Vec<(u32, Option<u8>)>;
type Stages = Vec<Vec<Option<u64>>>;
type Levels = Vec<(u64, u8)>;

show_as_python!(
    u8,
    u32,
    u64,
    Option<u64>,
    Vec<u64>,
    Encodings,
    Address,
    Sources,
    Stages,
    Levels,
    &'static str
);

event!(StunReceived { socket: u32, source: Address, data: Py<PyBytes> });
event!(DtlsReceived { transport: u64, socket: u32, source: Address, data: Py<PyBytes> });
event!(PairSelected {
    transport: u64,
    socket: u32,
    address: Address
});
event!(FirstFrame {
    transport: u64,
    waited_us: u64
});
event!(TransportLost { transport: u64, reason: &'static str });
event!(TransportRemoved { transport: u64 });
event!(EncodingActive {
    producer: u64,
    encoding: u8,
    ssrc: u32
});
event!(EncodingsWanted {
    producer: u64,
    encodings: Encodings
});
event!(ProducerSilent { producer: u64, reason: &'static str });
event!(Contributors {
    producer: u64,
    sources: Sources
});
event!(SpeakersChanged {
    group: u64,
    dominant: Option<u64>,
    recent: Vec<u64>,
    stages: Stages,
    levels: Levels
});

fn speakers_changed(
    group: GroupId,
    state: &GroupState,
    levels: &[(ProducerId, u8)],
) -> SpeakersChanged {
    let place = |place: &Option<ProducerId>| place.map(|producer| producer.0);
    SpeakersChanged {
        group: group.0,
        dominant: state.dominant.map(|producer| producer.0),
        recent: state.recent.iter().map(|producer| producer.0).collect(),
        stages: state
            .stages
            .iter()
            .map(|stage| stage.iter().map(place).collect())
            .collect(),
        levels: levels
            .iter()
            .map(|(producer, level)| (producer.0, *level))
            .collect(),
    }
}

fn object<T: PyClass + Into<PyClassInitializer<T>>>(
    py: Python<'_>,
    event: T,
) -> PyResult<Bound<'_, PyAny>> {
    Ok(Bound::new(py, event)?.into_any())
}

/// An event as the object Python gets.
pub fn event_to_python(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    match event {
        Event::Stun { tuple, data } => object(
            py,
            StunReceived {
                socket: tuple.socket.0,
                source: address_to_python(tuple.address),
                data: PyBytes::new(py, &data).unbind(),
            },
        ),
        Event::Dtls {
            transport,
            tuple,
            data,
        } => object(
            py,
            DtlsReceived {
                transport: transport.0,
                socket: tuple.socket.0,
                source: address_to_python(tuple.address),
                data: PyBytes::new(py, &data).unbind(),
            },
        ),
        Event::PairSelected { transport, tuple } => object(
            py,
            PairSelected {
                transport: transport.0,
                socket: tuple.socket.0,
                address: address_to_python(tuple.address),
            },
        ),
        Event::FirstFrame { transport, waited } => object(
            py,
            FirstFrame {
                transport: transport.0,
                waited_us: waited.0,
            },
        ),
        Event::TransportLost { transport, reason } => object(
            py,
            TransportLost {
                transport: transport.0,
                reason: match reason {
                    LostReason::ConsentExpired => "consent-expired",
                    LostReason::EngineBug => "engine-bug",
                },
            },
        ),
        Event::TransportRemoved { transport } => object(
            py,
            TransportRemoved {
                transport: transport.0,
            },
        ),
        Event::EncodingActive {
            producer,
            encoding,
            ssrc,
        } => object(
            py,
            EncodingActive {
                producer: producer.0,
                encoding,
                ssrc: ssrc.0,
            },
        ),
        Event::EncodingsWanted {
            producer,
            encodings,
        } => object(
            py,
            EncodingsWanted {
                producer: producer.0,
                encodings: encodings.into_iter().map(u16::from).collect(),
            },
        ),
        Event::ProducerSilent { producer, reason } => object(
            py,
            ProducerSilent {
                producer: producer.0,
                reason: match reason {
                    SilentReason::Bye => "bye",
                    SilentReason::Timeout => "timeout",
                },
            },
        ),
        Event::SpeakersChanged {
            group,
            state,
            levels,
        } => object(py, speakers_changed(group, &state, &levels)),
        Event::Contributors { producer, sources } => object(
            py,
            Contributors {
                producer: producer.0,
                sources,
            },
        ),
    }
}
