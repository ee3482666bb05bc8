//! Checks of every argument before it becomes a command. Messages begin with the argument's name.

use super::errors::config;
use crate::core::sink::MAX_DATAGRAM;
use crate::ids::Ssrc;
use crate::time::Micros;
use arrayvec::ArrayString;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::RangeInclusive;

/// What a caller may ask the kernel for, in bytes.
const MIN_BUFFER_BYTES: usize = 4_096;
const MAX_BUFFER_BYTES: usize = 1 << 30;

/// The longest timeouts accepted: a day.
const MAX_TIMEOUT_US: u64 = 86_400_000_000;

/// An address as Python has it.
pub type PyAddress = (String, Number);

/// A Python integer, not yet checked.
#[derive(Clone, Copy)]
pub struct Number(i128);

impl<'py> FromPyObject<'_, 'py> for Number {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<i64>() {
            Ok(number) => Ok(Self(i128::from(number))),
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                // Beyond 64 bits signed: the largest unsigned ones, else out of every range.
                Ok(Self(object.extract::<u64>().map_or(i128::MIN, i128::from)))
            }
            Err(error) => Err(error),
        }
    }
}

impl Number {
    /// A default.
    pub const fn new(number: i64) -> Self {
        Self(number as i128)
    }

    /// The number, if it lies in the range.
    pub fn within<T>(self, name: &str, range: RangeInclusive<T>) -> PyResult<T>
    where
        T: TryFrom<i128> + Copy + std::fmt::Display + PartialOrd,
    {
        let number = T::try_from(self.0)
            .ok()
            .filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            let shown = if self.0 == i128::MIN {
                "a larger number".into()
            } else {
                self.0.to_string()
            };
            config(format!("{name}: expected {from} to {to}, got {shown}"))
        })
    }

    /// An id; one that no id can be is merely unknown.
    pub fn id(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }

    /// The address of something in this process.
    pub fn pointer(self, name: &str) -> PyResult<usize> {
        self.within(name, 1..=usize::MAX)
    }

    /// An SSRC. Zero is legal (RFC 3550 section 8.1 only asks for randomness).
    pub fn ssrc(self, name: &str) -> PyResult<Ssrc> {
        self.within(name, 0..=u32::MAX).map(Ssrc)
    }
}

/// An optional SSRC.
pub fn optional_ssrc(number: Option<Number>, name: &str) -> PyResult<Option<Ssrc>> {
    number.map(|number| number.ssrc(name)).transpose()
}

/// A text whose length in bytes lies in the range.
pub fn text(name: &str, text: String, length: RangeInclusive<usize>) -> PyResult<String> {
    if length.contains(&text.len()) {
        return Ok(text);
    }
    let (from, to) = (length.start(), length.end());
    Err(config(format!(
        "{name}: expected {from} to {to} bytes, got {}",
        text.len()
    )))
}

/// A MID or RID: 1 to 16 bytes, as much as a one-byte header extension holds (RFC 8285 section 4.2).
pub fn short_id(name: &str, text: &str) -> PyResult<ArrayString<16>> {
    let id = ArrayString::from(text).ok().filter(|id| !id.is_empty());
    id.ok_or_else(|| {
        config(format!(
            "{name}: expected 1 to 16 bytes, got {}",
            text.len()
        ))
    })
}

/// An optional MID or RID.
pub fn optional_short_id(name: &str, text: Option<&str>) -> PyResult<Option<ArrayString<16>>> {
    text.map(|text| short_id(name, text)).transpose()
}

/// An ICE user name fragment (RFC 8839 section 5.4): 4 to 256 bytes.
pub fn ufrag(name: &str, value: String) -> PyResult<String> {
    text(name, value, 4..=256)
}

/// An ICE password: 22 to 256 bytes.
pub fn password(name: &str, value: String) -> PyResult<String> {
    text(name, value, 22..=256)
}

/// An address to bind to; port 0 lets the system choose.
pub fn bind_address(address: &PyAddress) -> PyResult<SocketAddr> {
    socket_address(address, 0)
}

/// An address to send to.
pub fn peer_address(address: &PyAddress) -> PyResult<SocketAddr> {
    socket_address(address, 1)
}

fn socket_address((host, port): &PyAddress, lowest_port: u16) -> PyResult<SocketAddr> {
    let port = port.within("address: port", lowest_port..=u16::MAX)?;
    let error = || {
        config(format!(
            "address: expected an IPv4 or IPv6 address, got {host:?}"
        ))
    };
    if let Some((ip, scope)) = host.split_once('%') {
        let ip: Ipv6Addr = ip.parse().map_err(|_| error())?;
        let scope = scope.parse().map_err(|_| error())?;
        return Ok(SocketAddrV6::new(ip, port, 0, scope).into());
    }
    let ip: IpAddr = host.parse().map_err(|_| error())?;
    Ok(SocketAddr::new(ip, port))
}

/// An address for Python; an IPv6 scope is kept, because sending back to it needs it.
pub fn address_to_python(address: SocketAddr) -> (String, u16) {
    let host = match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    };
    (host, address.port())
}

/// A datagram to send.
pub fn datagram(data: &[u8]) -> PyResult<Vec<u8>> {
    if (1..=MAX_DATAGRAM).contains(&data.len()) {
        return Ok(data.to_vec());
    }
    Err(config(format!(
        "data: expected 1 to {MAX_DATAGRAM} bytes, got {}",
        data.len()
    )))
}

/// The size of a socket buffer.
pub fn buffer_bytes(number: Number, name: &str) -> PyResult<usize> {
    number.within(name, MIN_BUFFER_BYTES..=MAX_BUFFER_BYTES)
}

/// A timeout in microseconds.
pub fn timeout(number: Number, name: &str) -> PyResult<Micros> {
    number.within(name, 1..=MAX_TIMEOUT_US).map(Micros)
}

/// An optional limit, at least 1.
pub fn limit<T>(number: Option<Number>, name: &str, most: T) -> PyResult<Option<T>>
where
    T: TryFrom<i128> + From<u8> + Copy + std::fmt::Display + PartialOrd,
{
    number
        .map(|number| number.within(name, T::from(1)..=most))
        .transpose()
}

/// The size at which something is shown; one side may be left out.
pub fn shown_at(width: Option<Number>, height: Option<Number>) -> PyResult<Option<(u16, u16)>> {
    let width = limit(width, "shown_width", u16::MAX)?;
    let height = limit(height, "shown_height", u16::MAX)?;
    let is_known = width.is_some() || height.is_some();
    let side = |side: Option<u16>| side.unwrap_or(u16::MAX);
    Ok(is_known.then(|| (side(width), side(height))))
}
