//! The `Engine` class: checks arguments, keeps track of ids, hands commands to the workers.

#![allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 extracts arguments by value"
)]

use super::arguments::{
    Number, PyAddress, address_to_python, bind_address, buffer_bytes, datagram, limit,
    optional_short_id, optional_ssrc, password, shown_at, text, timeout, ufrag,
};
use super::errors::{config, guard, system};
use super::events::event_to_python;
use super::media;
use super::registry::{Registry, worker_of, worker_of_socket};
use super::speakers;
use super::stats::{counters_to_python, transport_to_python};
use crate::core::Command;
use crate::core::command::{IceCredentials, Limits, ProducerConfig, SlotConfig, TransportConfig};
use crate::ice::PlainPeer;
use crate::ids::{TransportId, Tuple};
use crate::io::clock;
use crate::io::engine::{Engine, MAX_WORKERS};
use crate::io::socket::{BufferSizes, UdpSocket};
use crate::io::worker::WorkerCommand;
use crate::speakers::MAX_PLACES;
use crate::srtp::libsrtp::{LibSrtp, SrtpFunctions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events taken by one call at most.
const MAX_EVENTS: usize = 65_536;

/// Highest number of a CPU.
const MAX_CPU: usize = 65_535;

/// Worker threads with their sockets. Close it, or its threads keep the process alive.
#[pyclass(frozen, name = "Engine", module = "router._engine")]
pub struct PyEngine {
    pub(super) engine: Engine,
    functions: SrtpFunctions,
    registry: Mutex<Registry>,
}

impl PyEngine {
    /// Never held while a worker is waited for.
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(
        &self,
        py: Python<'_>,
        worker: usize,
        command: WorkerCommand,
    ) -> PyResult<()> {
        py.detach(|| guard(|| Ok(self.engine.tell(worker, command)?)))
    }

    fn command(&self, py: Python<'_>, id: u64, command: Command) -> PyResult<()> {
        self.tell(py, worker_of(id), WorkerCommand::Core(command))
    }

    pub(super) fn transport(&self, id: Number) -> PyResult<TransportId> {
        self.registry().transport(id.id())
    }

    fn tuple(&self, id: TransportId, socket: Number, address: &PyAddress) -> PyResult<Tuple> {
        self.registry().tuple(id, socket, address)
    }

    fn target(&self, socket: Number, address: &PyAddress) -> PyResult<Tuple> {
        self.registry().target(socket, address)
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (*, srtp_functions, workers=Number::new(1), cpus=Vec::new()),
        text_signature = "(*, srtp_functions, workers=1, cpus=())")]
    fn new(
        py: Python<'_>,
        srtp_functions: (Number, Number, Number, Number),
        workers: Number,
        cpus: Vec<Number>,
    ) -> PyResult<Self> {
        let cpu = |cpu: Number| cpu.within("cpus", 0..=MAX_CPU);
        let cpus = cpus.into_iter().map(cpu).collect::<PyResult<Vec<_>>>()?;
        let workers = workers.within("workers", 1..=MAX_WORKERS)?;
        let (protect, unprotect, protect_rtcp, unprotect_rtcp) = srtp_functions;
        let pointer = |number: Number| number.pointer("srtp_functions");
        let addresses = [
            pointer(protect)?,
            pointer(unprotect)?,
            pointer(protect_rtcp)?,
            pointer(unprotect_rtcp)?,
        ];
        // SAFETY: the caller vouches for four addresses of libsrtp 2; `router.rtc.srtp` checks their C signatures.
        let functions = unsafe { SrtpFunctions::from_addresses(addresses) };
        let functions = functions.ok_or_else(|| config("srtp_functions: one is null"))?;
        let engine = py.detach(|| {
            guard(|| Engine::start(workers, &cpus).map_err(|error| system(&error, "workers")))
        })?;
        Ok(Self {
            engine,
            functions,
            registry: Mutex::default(),
        })
    }

    #[getter]
    fn workers(&self) -> usize {
        self.engine.workers()
    }

    fn busy_us(&self) -> Vec<u64> {
        self.engine.busy_us()
    }

    #[getter]
    fn event_fd(&self) -> i32 {
        self.engine.event_descriptor()
    }

    #[pyo3(signature = (limit=Number::new(1024)), text_signature = "($self, limit=1024)")]
    fn poll_events<'py>(&self, py: Python<'py>, limit: Number) -> PyResult<Bound<'py, PyList>> {
        let limit = limit.within("limit", 1..=MAX_EVENTS)?;
        let events = py.detach(|| guard(|| Ok(self.engine.poll_events(limit))))?;
        let list = PyList::empty(py);
        for event in events {
            list.append(event_to_python(py, event)?)?;
        }
        Ok(list)
    }

    #[expect(clippy::unused_self, reason = "a method in the contract")]
    fn now_us(&self) -> u64 {
        clock::now().0
    }

    #[pyo3(signature = (
        worker, address, *, receive_buffer_bytes=Number::new(4_194_304), send_buffer_bytes=Number::new(4_194_304)
    ), text_signature = "($self, worker, address, *, receive_buffer_bytes=4194304, send_buffer_bytes=4194304)")]
    fn open_socket<'py>(
        &self,
        py: Python<'py>,
        worker: Number,
        address: PyAddress,
        receive_buffer_bytes: Number,
        send_buffer_bytes: Number,
    ) -> PyResult<Bound<'py, PyDict>> {
        let worker = worker.within("worker", 0..=self.engine.workers() - 1)?;
        let address = bind_address(&address)?;
        let buffers = BufferSizes {
            receive: buffer_bytes(receive_buffer_bytes, "receive_buffer_bytes")?,
            send: buffer_bytes(send_buffer_bytes, "send_buffer_bytes")?,
        };
        let id = self.registry().next_socket(worker)?;
        let opened = py.detach(|| UdpSocket::bind(id, address, buffers));
        let socket = opened.map_err(|error| system(&error, &address.to_string()))?;
        let info = PyDict::new(py);
        info.set_item("id", id.0)?;
        info.set_item("worker", worker)?;
        info.set_item("address", address_to_python(socket.address()))?;
        info.set_item("receive_buffer_bytes", socket.receive_buffer_bytes())?;
        info.set_item("send_buffer_bytes", socket.send_buffer_bytes())?;
        self.tell(py, worker, WorkerCommand::AddSocket(socket))?;
        self.registry().add_socket(id, address.is_ipv4());
        Ok(info)
    }

    fn close_socket(&self, py: Python<'_>, socket: Number) -> PyResult<()> {
        let (id, _) = self.registry().socket(socket.id())?;
        py.detach(|| guard(|| Ok(self.engine.close_socket(worker_of_socket(id), id)?)))?;
        self.registry().remove_socket(id);
        Ok(())
    }

    fn send_datagram(
        &self,
        py: Python<'_>,
        socket: Number,
        address: PyAddress,
        data: &[u8],
    ) -> PyResult<()> {
        let to = self.target(socket, &address)?;
        let command = WorkerCommand::Send(to, datagram(data)?);
        self.tell(py, worker_of_socket(to.socket), command)
    }

    #[pyo3(signature = (
        socket, *, local_ufrag, local_password, cname, timeout_us=Number::new(30_000_000)
    ), text_signature = "($self, socket, *, local_ufrag, local_password, cname, timeout_us=30000000)")]
    fn create_transport(
        &self,
        py: Python<'_>,
        socket: Number,
        local_ufrag: String,
        local_password: String,
        cname: String,
        timeout_us: Number,
    ) -> PyResult<u64> {
        let local = IceCredentials {
            ufrag: ufrag("local_ufrag", local_ufrag)?,
            password: password("local_password", local_password)?,
        };
        let cname = text("cname", cname, 1..=255)?;
        let timeout = timeout(timeout_us, "timeout_us")?;
        let id = {
            let mut registry = self.registry();
            let (socket, _) = registry.socket(socket.id())?;
            registry.add_transport(socket)
        };
        let config = TransportConfig {
            id,
            local,
            timeout,
            cname,
        };
        let told = self.command(py, id.0, Command::CreateTransport(config));
        told.inspect_err(|_| self.registry().remove_transport(id))?;
        Ok(id.0)
    }

    fn remove_transport(&self, py: Python<'_>, transport: Number) -> PyResult<()> {
        let id = self.transport(transport)?;
        self.command(py, id.0, Command::RemoveTransport(id))?;
        self.registry().remove_transport(id);
        Ok(())
    }

    #[pyo3(signature = (transport, ufrag, password))]
    fn set_remote_ice(
        &self,
        py: Python<'_>,
        transport: Number,
        ufrag: String,
        password: String,
    ) -> PyResult<()> {
        let id = self.transport(transport)?;
        let remote = IceCredentials {
            ufrag: self::ufrag("ufrag", ufrag)?,
            password: self::password("password", password)?,
        };
        self.command(py, id.0, Command::SetRemoteIce(id, remote))
    }

    fn restart_ice(
        &self,
        py: Python<'_>,
        transport: Number,
        local_ufrag: String,
        local_password: String,
    ) -> PyResult<()> {
        let id = self.transport(transport)?;
        let local = IceCredentials {
            ufrag: ufrag("local_ufrag", local_ufrag)?,
            password: password("local_password", local_password)?,
        };
        self.command(py, id.0, Command::RestartIce(id, local))
    }

    #[pyo3(signature = (transport, socket, address, *, nominated, priority))]
    fn add_tuple(
        &self,
        py: Python<'_>,
        transport: Number,
        socket: Number,
        address: PyAddress,
        nominated: bool,
        priority: Number,
    ) -> PyResult<()> {
        let transport = self.transport(transport)?;
        let command = Command::AddTuple {
            transport,
            tuple: self.tuple(transport, socket, &address)?,
            nominated,
            priority: priority.within("priority", 0..=u32::MAX)?,
        };
        self.command(py, transport.0, command)
    }

    fn validate_tuple(
        &self,
        py: Python<'_>,
        transport: Number,
        socket: Number,
        address: PyAddress,
    ) -> PyResult<()> {
        let transport = self.transport(transport)?;
        let tuple = self.tuple(transport, socket, &address)?;
        self.command(py, transport.0, Command::ValidateTuple(transport, tuple))
    }

    #[pyo3(signature = (transport, *, rtp, rtcp, ssrc))]
    fn set_plain_peer(
        &self,
        py: Python<'_>,
        transport: Number,
        rtp: (Number, PyAddress),
        rtcp: (Number, PyAddress),
        ssrc: Number,
    ) -> PyResult<()> {
        let transport = self.transport(transport)?;
        let peer = PlainPeer {
            rtp: self.tuple(transport, rtp.0, &rtp.1)?,
            rtcp: self.tuple(transport, rtcp.0, &rtcp.1)?,
        };
        let command = Command::SetPlainPeer {
            transport,
            peer,
            ssrc: ssrc.ssrc("ssrc")?,
        };
        self.command(py, transport.0, command)
    }

    fn set_srtp(
        &self,
        py: Python<'_>,
        transport: Number,
        inbound: Number,
        outbound: Number,
    ) -> PyResult<()> {
        let id = self.transport(transport)?;
        let (inbound, outbound) = (inbound.pointer("inbound")?, outbound.pointer("outbound")?);
        // SAFETY: the caller vouches for two live `srtp_t` and keeps them, unused, until `TransportRemoved`.
        let session = unsafe { LibSrtp::new(self.functions, inbound, outbound) };
        let session = session.ok_or_else(|| config("inbound, outbound: one is null"))?;
        self.command(py, id.0, Command::SetSrtp(id, Box::new(session)))
    }

    fn set_receive_limit(
        &self,
        py: Python<'_>,
        transport: Number,
        max_bitrate_bps: Option<Number>,
    ) -> PyResult<()> {
        let id = self.transport(transport)?;
        let limit = limit(max_bitrate_bps, "max_bitrate_bps", u64::MAX)?;
        self.command(py, id.0, Command::SetReceiveLimit(id, limit))
    }

    #[pyo3(signature = (
        transport, *, kind, mid, codecs, extensions, encodings, contributor, media_timeout_us=Number::new(5_000_000)
    ), text_signature = "($self, transport, *, kind, mid, codecs, extensions, encodings, contributor, media_timeout_us=5000000)")]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the contract"
    )]
    fn add_producer(
        &self,
        py: Python<'_>,
        transport: Number,
        kind: &str,
        mid: Option<&str>,
        codecs: Vec<Bound<'_, PyAny>>,
        extensions: HashMap<String, Number>,
        encodings: Vec<Bound<'_, PyAny>>,
        contributor: Number,
        media_timeout_us: Number,
    ) -> PyResult<u64> {
        let transport = self.transport(transport)?;
        let kind = media::kind(kind)?;
        let mid = optional_short_id("mid", mid)?;
        let codecs = media::codecs(&codecs)?;
        let extensions = media::extensions(extensions)?;
        let encodings = media::encodings(&encodings)?;
        let contributor = contributor.within("contributor", 0..=u32::MAX)?;
        let media_timeout = timeout(media_timeout_us, "media_timeout_us")?;
        let id = self.registry().add_producer(transport, kind)?;
        let config = ProducerConfig {
            id,
            transport,
            kind,
            mid,
            codecs,
            extensions,
            encodings,
            contributor,
            media_timeout,
        };
        if self.engine.workers() > 1 {
            self.registry().keep_config(&config);
        }
        let told = self.command(py, id.0, Command::AddProducer(config));
        told.inspect_err(|_| self.registry().remove_producer(id))?;
        Ok(id.0)
    }

    fn pause_producer(&self, py: Python<'_>, producer: Number, paused: bool) -> PyResult<()> {
        let id = self.registry().producer(producer.id())?;
        self.command(py, id.0, Command::PauseProducer(id, paused))
    }

    fn follow_demand(&self, py: Python<'_>, producer: Number, follows: bool) -> PyResult<()> {
        let id = self.registry().producer(producer.id())?;
        self.command(py, id.0, Command::FollowDemand(id, follows))
    }

    fn remove_producer(&self, py: Python<'_>, producer: Number) -> PyResult<()> {
        let id = self.registry().producer(producer.id())?;
        self.command(py, id.0, Command::RemoveProducer(id))?;
        self.registry().remove_producer(id);
        Ok(())
    }

    fn request_key_frame(&self, py: Python<'_>, producer: Number) -> PyResult<()> {
        let id = self.registry().producer(producer.id())?;
        self.command(py, id.0, Command::RequestKeyFrame(id))
    }

    #[pyo3(signature = (transport, *, kind, mid, ssrc, rtx_ssrc, codecs, extensions, allow_mixed_extensions=false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the contract"
    )]
    fn add_slot(
        &self,
        py: Python<'_>,
        transport: Number,
        kind: &str,
        mid: Option<&str>,
        ssrc: Number,
        rtx_ssrc: Option<Number>,
        codecs: Vec<Bound<'_, PyAny>>,
        extensions: HashMap<String, Number>,
        allow_mixed_extensions: bool,
    ) -> PyResult<u64> {
        let transport = self.transport(transport)?;
        let kind = media::kind(kind)?;
        let mid = optional_short_id("mid", mid)?;
        let ssrc = ssrc.ssrc("ssrc")?;
        let rtx_ssrc = optional_ssrc(rtx_ssrc, "rtx_ssrc")?;
        if rtx_ssrc == Some(ssrc) {
            return Err(config("rtx_ssrc: it equals ssrc"));
        }
        let codecs = media::codecs(&codecs)?;
        let extensions = media::extensions(extensions)?;
        let id = self.registry().add_slot(transport, kind)?;
        let config = SlotConfig {
            id,
            transport,
            kind,
            mid,
            ssrc,
            rtx_ssrc,
            codecs,
            extensions,
            allow_mixed_extensions,
        };
        let told = self.command(py, id.0, Command::AddSlot(config));
        told.inspect_err(|_| self.registry().remove_slot(id))?;
        Ok(id.0)
    }

    #[pyo3(signature = (slot, producer))]
    fn assign_slot(&self, py: Python<'_>, slot: Number, producer: Option<Number>) -> PyResult<()> {
        let producer = producer.map(Number::id);
        let (mirror, slot, producer) = self.registry().assignment(slot.id(), producer)?;
        if let Some(config) = mirror {
            self.command(py, slot.0, Command::Mirror(config))?;
        }
        self.command(py, slot.0, Command::Assign(slot, producer))
    }

    #[pyo3(signature = (
        slot, *, max_bitrate_bps=None, max_width=None, max_height=None, max_frame_rate=None, max_temporal_layers=None,
        shown_width=None, shown_height=None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of the contract"
    )]
    fn set_slot_limits(
        &self,
        py: Python<'_>,
        slot: Number,
        max_bitrate_bps: Option<Number>,
        max_width: Option<Number>,
        max_height: Option<Number>,
        max_frame_rate: Option<Number>,
        max_temporal_layers: Option<Number>,
        shown_width: Option<Number>,
        shown_height: Option<Number>,
    ) -> PyResult<()> {
        let id = self.registry().slot(slot.id())?;
        let limits = Limits {
            shown_at: shown_at(shown_width, shown_height)?,
            max_bitrate_bps: limit(max_bitrate_bps, "max_bitrate_bps", u64::MAX)?,
            max_width: limit(max_width, "max_width", u16::MAX)?,
            max_height: limit(max_height, "max_height", u16::MAX)?,
            max_frame_rate: limit(max_frame_rate, "max_frame_rate", u16::MAX)?,
            max_temporal_layers: limit(max_temporal_layers, "max_temporal_layers", u8::MAX)?,
        };
        self.command(py, id.0, Command::SetLimits(id, limits))
    }

    fn set_slot_priority(
        &self,
        py: Python<'_>,
        slot: Number,
        priority: &str,
        preference: &str,
    ) -> PyResult<()> {
        let id = self.registry().slot(slot.id())?;
        let (priority, preference) = media::priority_from_python(priority, preference)?;
        self.command(py, id.0, Command::SetPriority(id, priority, preference))
    }

    fn remove_slot(&self, py: Python<'_>, slot: Number) -> PyResult<()> {
        let id = self.registry().slot(slot.id())?;
        self.command(py, id.0, Command::RemoveSlot(id))?;
        self.registry().remove_slot(id);
        Ok(())
    }

    #[pyo3(signature = (worker, *, max_heard=Number::new(3)), text_signature = "($self, worker, *, max_heard=3)")]
    fn create_speakers(&self, py: Python<'_>, worker: Number, max_heard: Number) -> PyResult<u64> {
        let worker = worker.within("worker", 0..=self.engine.workers() - 1)?;
        let max_heard = max_heard.within("max_heard", 1..=MAX_PLACES)?;
        let id = self.registry().add_group(worker);
        let told = self.command(py, id.0, Command::CreateSpeakers(id, max_heard));
        told.inspect_err(|_| self.registry().remove_group(id))?;
        Ok(id.0)
    }

    fn remove_speakers(&self, py: Python<'_>, group: Number) -> PyResult<()> {
        let id = self.registry().group(group.id())?;
        self.command(py, id.0, Command::RemoveSpeakers(id))?;
        self.registry().remove_group(id);
        Ok(())
    }

    fn join_speakers(
        &self,
        py: Python<'_>,
        producer: Number,
        group: Number,
        participant: Number,
    ) -> PyResult<()> {
        let (group, mirror, command) =
            speakers::join(&self.registry(), producer, group, participant)?;
        if let Some(mirror) = mirror {
            self.command(py, group.0, mirror)?;
        }
        self.command(py, group.0, command)
    }

    fn follow_speakers(
        &self,
        py: Python<'_>,
        slots: Vec<Number>,
        group: Number,
        participant: Number,
    ) -> PyResult<()> {
        let (group, command) = speakers::follow(&self.registry(), slots, group, participant)?;
        self.command(py, group.0, command)
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let all = py.detach(|| guard(|| Ok(self.engine.counters()?)))?;
        let list = PyList::empty(py);
        for worker in &all {
            list.append(counters_to_python(py, worker)?)?;
        }
        Ok(list)
    }

    fn transport_stats<'py>(
        &self,
        py: Python<'py>,
        transports: Vec<Number>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut ids = vec![Vec::new(); self.engine.workers()];
        for id in transports {
            // One that was never issued is left out like one that is gone.
            if let Some(worker) = ids.get_mut(worker_of(id.id())) {
                worker.push(TransportId(id.id()));
            }
        }
        let all = py.detach(|| guard(|| Ok(self.engine.transport_stats(ids)?)))?;
        let list = PyList::empty(py);
        for transport in &all {
            list.append(transport_to_python(py, transport)?)?;
        }
        Ok(list)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            guard(|| {
                self.engine.close();
                Ok(())
            })
        })
    }
}
