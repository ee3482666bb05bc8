//! The `Capture` class: a peer's packets, as pcapng blocks.

use super::arguments::{Number, PyAddress, bind_address};
use super::engine::PyEngine;
use super::errors::{config, guard};
use super::registry::worker_of;
use crate::core::capture::{CaptureId, What};
use crate::ids::TransportId;
use crate::io::capture::{CaptureChannel, CaptureConfig, CaptureWriter};
use crate::io::clock;
use crate::io::worker::WorkerCommand;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sockets of one peer's worker at most.
const MAX_ADDRESSES: usize = 256;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A capture of one peer's packets. Stop it, or it goes on until it is full.
#[pyclass(frozen, name = "Capture", module = "router._engine")]
pub struct PyCapture {
    engine: Py<PyEngine>,
    transport: TransportId,
    id: CaptureId,
    channel: Arc<CaptureChannel>,
}

#[pymethods]
impl PyCapture {
    #[new]
    #[pyo3(signature = (engine, transport, *, what, addresses, interface, max_bytes))]
    fn new(
        py: Python<'_>,
        engine: Py<PyEngine>,
        transport: Number,
        what: &str,
        addresses: Vec<(Number, PyAddress)>,
        interface: Number,
        max_bytes: Number,
    ) -> PyResult<Self> {
        let what = match what {
            "encrypted" => What::Encrypted,
            "headers" => What::Headers,
            other => {
                let expected = "what: expected \"encrypted\" or \"headers\"";
                return Err(config(format!("{expected}, got {other:?}")));
            }
        };
        if addresses.len() > MAX_ADDRESSES {
            return Err(config(format!("addresses: at most {MAX_ADDRESSES}")));
        }
        let own = engine.get();
        let transport = own.transport(transport)?;
        let mut sockets = Vec::with_capacity(addresses.len());
        for (socket, address) in addresses {
            let (socket, _) = own.registry().socket(socket.id())?;
            sockets.push((socket, bind_address(&address)?));
        }
        let id = CaptureId(NEXT.fetch_add(1, Ordering::Relaxed));
        let channel = Arc::new(CaptureChannel::new());
        let config = CaptureConfig {
            id,
            addresses: sockets,
            interface: interface.within("interface", 0..=u32::MAX)?,
            max_bytes: max_bytes.within("max_bytes", 1..=u64::MAX >> 1)?,
            wall_offset: clock::wall_offset(),
        };
        let writer = CaptureWriter::new(config, Arc::clone(&channel));
        let command = WorkerCommand::StartCapture(transport, what, writer);
        own.tell(py, worker_of(transport.0), command)?;
        Ok(Self {
            engine,
            transport,
            id,
            channel,
        })
    }

    /// Whole blocks that were not read yet.
    fn read<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.channel.read(|waiting| PyBytes::new(py, waiting))
    }

    #[getter]
    fn packets(&self) -> u64 {
        self.channel.packets()
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.channel.dropped()
    }

    #[getter]
    fn full(&self) -> bool {
        self.channel.is_full()
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let engine = &self.engine.get().engine;
        py.detach(|| guard(|| Ok(engine.stop_capture(self.transport, self.id)?)))
    }
}
