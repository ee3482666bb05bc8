//! The Python binding, `loadtest._native`; its contract is `loadtest/_native.pyi`.
//!
//! libsrtp's functions and contexts come as addresses; Python keeps their owners alive for as long as the objects here.

use crate::floor::{Floor, Member};
use crate::generator::{Generator, Intervals, Snapshot};
use crate::packet::{Codec, Format};
use crate::peer::{Peer, Track};
use crate::srtp::{Context, Functions};
use crate::stun::Credentials;
use crate::traffic::{Schedule, Shape};
use crate::{clock, histogram::Histogram, socket};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::net::SocketAddrV4;

fn functions(addresses: [usize; 4]) -> PyResult<Functions> {
    // SAFETY: the Python side checks the signatures (`loadtest/srtp.py`); libsrtp stays loaded with pylibsrtp.
    let found = unsafe { Functions::from_addresses(addresses) };
    found.ok_or_else(|| PyValueError::new_err("a function's address is null"))
}

fn address(host: &str, port: u16) -> PyResult<SocketAddrV4> {
    let host = host
        .parse()
        .map_err(|_| PyValueError::new_err(format!("no IPv4 address: {host}")))?;
    Ok(SocketAddrV4::new(host, port))
}

/// A track as `loadtest.native.Traffic` describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct TrackArguments {
    codec: String,
    payload_type: u8,
    ssrc: u32,
    mid: String,
    mid_extension: Option<u8>,
    level_extension: Option<u8>,
    shape: String,
    bytes: usize,
    per_frame: u32,
    rate: f64,
    dtx: bool,
}

impl TrackArguments {
    fn shape(&self) -> PyResult<Shape> {
        match self.shape.as_str() {
            "steady" => Ok(Shape::Steady {
                bytes: self.bytes,
                per_frame: self.per_frame,
                packets_per_s: self.rate,
            }),
            "camera" => Ok(Shape::Camera {
                bits_per_s: self.rate as u64,
                frames_per_s: self.per_frame,
                max_bytes: self.bytes,
            }),
            "voice" => Ok(Shape::Voice {
                bytes: self.bytes,
                dtx: self.dtx,
            }),
            other => Err(PyValueError::new_err(format!("no such shape: {other}"))),
        }
    }

    fn track(&self) -> PyResult<Track> {
        let codec = match self.codec.as_str() {
            "VP8" => Codec::Vp8,
            "H264" => Codec::H264,
            "opus" => Codec::Opus,
            other => return Err(PyValueError::new_err(format!("no such codec: {other}"))),
        };
        if self.bytes > crate::packet::MAX_PACKET || self.rate <= 0.0 || self.per_frame == 0 {
            return Err(PyValueError::new_err("packets too large, or no rate"));
        }
        let mut format = Format {
            codec,
            payload_type: self.payload_type,
            ssrc: self.ssrc,
            extensions: Vec::new(),
            level_at: None,
        };
        format.set_extensions(
            self.mid_extension.map(|id| (id, self.mid.as_str())),
            self.level_extension,
        );
        let schedule = Schedule::new(self.shape()?, clock::monotonic_us(), u64::from(self.ssrc));
        // The first sequence number differs by track; 15 bits, so that a wrap is never next to the start.
        let number = self.ssrc & 0x7FFF;
        Ok(Track {
            format,
            schedule,
            number,
            sent: (0, 0),
        })
    }
}

/// A client as `loadtest.native.Load.add` describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PeerArguments {
    fd: i32,
    remote: (String, u16),
    password: Vec<u8>,
    remote_username: Vec<u8>,
    remote_password: Vec<u8>,
    controlling: bool,
    inbound: usize,
    outbound: usize,
    video_types: Vec<u8>,
    remb_bps: u64,
    tracks: Vec<TrackArguments>,
}

#[pyclass(name = "Generator")]
struct PyGenerator {
    functions: Functions,
    coalesces: bool,
    inner: Option<Generator>,
}

impl PyGenerator {
    fn inner(&mut self) -> PyResult<&mut Generator> {
        self.inner
            .as_mut()
            .ok_or_else(|| PyValueError::new_err("closed"))
    }
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (srtp_functions, *, core, report_interval_s, check_interval_s, coalesces))]
    fn new(
        srtp_functions: [usize; 4],
        core: Option<usize>,
        report_interval_s: f64,
        check_interval_s: f64,
        coalesces: bool,
    ) -> PyResult<Self> {
        let intervals = Intervals {
            report_us: (report_interval_s * 1e6) as u64,
            check_us: (check_interval_s * 1e6) as u64,
        };
        Ok(Self {
            functions: functions(srtp_functions)?,
            coalesces,
            inner: Some(Generator::start(core, intervals)?),
        })
    }

    fn add(&mut self, peer: PeerArguments) -> PyResult<u64> {
        let tracks = peer
            .tracks
            .iter()
            .map(TrackArguments::track)
            .collect::<PyResult<Vec<_>>>()?;
        let remote = address(&peer.remote.0, peer.remote.1)?;
        // SAFETY: Python detached the socket, so the descriptor is ours from here on.
        let fd = unsafe { socket::adopt(peer.fd) };
        socket::prepare(peer.fd, self.coalesces)?;
        // SAFETY: Python keeps the sessions for as long as this object and uses them no more.
        let srtp = unsafe {
            (
                Context::new(self.functions, peer.inbound),
                Context::new(self.functions, peer.outbound),
            )
        };
        let credentials = Credentials {
            password: peer.password,
            remote_username: peer.remote_username,
            remote_password: peer.remote_password,
            controlling: peer.controlling,
        };
        let mut made = Peer::new(fd, remote, credentials, srtp);
        made.tracks = tracks;
        made.video_types = peer.video_types;
        made.remb_bps = peer.remb_bps;
        Ok(self.inner()?.add(made))
    }

    fn remove(&mut self, number: u64) -> PyResult<()> {
        self.inner()?.remove(number);
        Ok(())
    }

    fn set_running(&mut self, running: bool) -> PyResult<()> {
        self.inner()?.set_running(running);
        Ok(())
    }

    fn set_scale(&mut self, scale: f64) -> PyResult<()> {
        if scale.is_nan() || scale <= 0.0 {
            return Err(PyValueError::new_err("a scale is above 0"));
        }
        self.inner()?.set_scale(scale);
        Ok(())
    }

    fn begin(&mut self) -> PyResult<()> {
        self.inner()?.begin();
        Ok(())
    }

    fn snapshot<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let inner = self.inner()?;
        let snapshot = py.detach(|| inner.snapshot());
        describe(py, &snapshot)
    }

    fn close(&mut self, py: Python<'_>) {
        let inner = self.inner.take();
        py.detach(|| drop(inner));
    }
}

fn describe<'py>(py: Python<'py>, snapshot: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
    let (totals, counts) = (&snapshot.totals, &snapshot.counts);
    let out = PyDict::new(py);
    for (name, value) in [
        ("sent", totals.sent),
        ("send_failures", totals.send_failures),
        ("received", totals.received),
        ("received_bytes", totals.received_bytes),
        ("datagrams", totals.datagrams),
        ("overflowed", totals.overflowed),
        ("checked", totals.checked),
        ("undecryptable", totals.undecryptable),
        ("wrong", totals.wrong),
        ("unknown", totals.unknown),
        ("key_requests", totals.key_requests),
        ("nacks", totals.nacks),
        ("answered", totals.answered),
        ("unique", counts.unique),
        ("expected", counts.expected),
        ("lost", counts.lost()),
        ("duplicates", counts.duplicates),
        ("reordered", counts.reordered),
        ("restarts", counts.restarts),
        ("streams", snapshot.streams as u64),
        ("receivers", snapshot.receivers as u64),
        ("skipped", snapshot.skipped),
        ("cpu_us", snapshot.cpu_us),
    ] {
        out.set_item(name, value)?;
    }
    out.set_item("latency", describe_histogram(py, &totals.latency)?)?;
    out.set_item("lateness", describe_histogram(py, &totals.lateness)?)?;
    Ok(out)
}

fn describe_histogram<'py>(py: Python<'py>, histogram: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("total", histogram.total())?;
    out.set_item("max_ns", histogram.max())?;
    for (name, share) in [
        ("p50_ns", 0.5),
        ("p90_ns", 0.9),
        ("p99_ns", 0.99),
        ("p999_ns", 0.999),
    ] {
        out.set_item(name, histogram.percentile(share))?;
    }
    out.set_item("buckets", histogram.buckets())?;
    Ok(out)
}

#[pyclass(name = "Floor")]
struct PyFloor {
    functions: Functions,
    inner: Option<Floor>,
}

#[pymethods]
impl PyFloor {
    #[new]
    fn new(srtp_functions: [usize; 4], core: Option<usize>) -> PyResult<Self> {
        Ok(Self {
            functions: functions(srtp_functions)?,
            inner: Some(Floor::start(core)?),
        })
    }

    #[getter]
    fn port(&self) -> PyResult<u16> {
        let inner = self
            .inner
            .as_ref()
            .ok_or_else(|| PyOSError::new_err("closed"))?;
        Ok(inner.address.port())
    }

    /// A session of 0 is traffic in the clear.
    #[allow(clippy::needless_pass_by_value)] // PyO3 extracts values
    fn add(
        &self,
        member: u64,
        remote: (String, u16),
        session: usize,
        publishes: bool,
    ) -> PyResult<()> {
        let inner = self
            .inner
            .as_ref()
            .ok_or_else(|| PyOSError::new_err("closed"))?;
        let remote = address(&remote.0, remote.1)?;
        // SAFETY: Python keeps the session for as long as this object and uses it no more.
        let context = unsafe { Context::new(self.functions, session) };
        let join = if publishes {
            Member::Publisher
        } else {
            Member::Receiver
        };
        inner.add(join(member, remote, context));
        Ok(())
    }

    fn close(&mut self, py: Python<'_>) {
        let inner = self.inner.take();
        py.detach(|| drop(inner));
    }
}

/// The native part of the load test; see `loadtest/_native.pyi`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{PyFloor, PyGenerator};
    use pyo3::prelude::*;

    /// `release` or `debug`: a debug build would be the bottleneck.
    #[pyfunction]
    fn build_profile() -> &'static str {
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
    }
}
