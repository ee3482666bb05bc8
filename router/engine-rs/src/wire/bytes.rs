//! Big-endian reading and writing with bounds: the only place of `wire` that turns offsets into integers.
//!
//! [`Span`] is a range inside a datagram that can be copied and kept after the datagram's borrow ends.

use super::{ParseError, WriteError};

/// A range of bytes inside a packet, relative to the packet's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u16,
    /// One past the last byte.
    pub end: u16,
}

impl Span {
    /// A span of checked bounds; `None` when it would not fit 16 bits or is reversed.
    pub fn new(start: usize, end: usize) -> Option<Self> {
        (start <= end).then_some(())?;
        Some(Self {
            start: u16::try_from(start).ok()?,
            end: u16::try_from(end).ok()?,
        })
    }

    /// Number of bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// No bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes in `packet`; empty when the packet is shorter than the one the span was made for.
    pub fn of(self, packet: &[u8]) -> &[u8] {
        packet
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// Reads one byte at `at`.
pub fn read_u8(bytes: &[u8], at: usize) -> Result<u8, ParseError> {
    bytes.get(at).copied().ok_or(ParseError::TooShort)
}

/// Reads two bytes at `at`.
pub fn read_u16(bytes: &[u8], at: usize) -> Result<u16, ParseError> {
    read_array(bytes, at).map(u16::from_be_bytes)
}

/// Reads three bytes at `at`.
pub fn read_u24(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    read_array(bytes, at).map(|[a, b, c]: [u8; 3]| u32::from_be_bytes([0, a, b, c]))
}

/// Reads four bytes at `at`.
pub fn read_u32(bytes: &[u8], at: usize) -> Result<u32, ParseError> {
    read_array(bytes, at).map(u32::from_be_bytes)
}

/// Reads eight bytes at `at`.
pub fn read_u64(bytes: &[u8], at: usize) -> Result<u64, ParseError> {
    read_array(bytes, at).map(u64::from_be_bytes)
}

/// Reads `N` bytes at `at`.
pub fn read_array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ParseError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or(ParseError::TooShort)
}

/// Appends to a buffer of fixed size.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the buffer's first byte.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, at: 0 }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Nothing written yet.
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        &self.buffer[..self.at]
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let room = self
            .buffer
            .get_mut(self.at..)
            .and_then(|rest| rest.get_mut(..bytes.len()));
        room.ok_or(WriteError::NoRoom)?.copy_from_slice(bytes);
        self.at += bytes.len();
        Ok(())
    }

    /// Appends one byte.
    pub fn put_u8(&mut self, value: u8) -> Result<(), WriteError> {
        self.put(&[value])
    }

    /// Appends two bytes.
    pub fn put_u16(&mut self, value: u16) -> Result<(), WriteError> {
        self.put(&value.to_be_bytes())
    }

    /// Appends the low three bytes.
    pub fn put_u24(&mut self, value: u32) -> Result<(), WriteError> {
        self.put(&value.to_be_bytes()[1..])
    }

    /// Appends four bytes.
    pub fn put_u32(&mut self, value: u32) -> Result<(), WriteError> {
        self.put(&value.to_be_bytes())
    }

    /// Appends eight bytes.
    pub fn put_u64(&mut self, value: u64) -> Result<(), WriteError> {
        self.put(&value.to_be_bytes())
    }

    /// Appends zeros up to a multiple of four.
    pub fn pad_to_word(&mut self) -> Result<(), WriteError> {
        self.put(&[0; 3][..self.at.wrapping_neg() % 4])
    }

    /// Overwrites two bytes written before.
    pub fn patch_u16(&mut self, at: usize, value: u16) -> Result<(), WriteError> {
        let written = &mut self.buffer[..self.at];
        let room = written
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut::<2>());
        *room.ok_or(WriteError::NoRoom)? = value.to_be_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_is_an_error() {
        let bytes = [1, 2, 3];
        assert_eq!(read_u16(&bytes, 1), Ok(0x0203));
        assert_eq!(read_u24(&bytes, 0), Ok(0x0001_0203));
        assert_eq!(read_u16(&bytes, 2), Err(ParseError::TooShort));
        assert_eq!(read_u32(&bytes, usize::MAX), Err(ParseError::TooShort));
    }

    #[test]
    fn a_full_buffer_is_an_error_and_keeps_what_was_written() {
        let mut buffer = [0; 5];
        let mut writer = Writer::new(&mut buffer);
        writer.put_u8(7).unwrap();
        writer.pad_to_word().unwrap();
        assert_eq!(writer.put_u16(1), Err(WriteError::NoRoom));
        assert_eq!(writer.written(), [7, 0, 0, 0]);
        assert_eq!(writer.patch_u16(3, 1), Err(WriteError::NoRoom));
    }

    #[test]
    fn a_span_never_reaches_past_a_shorter_packet() {
        let span = Span::new(2, 5).unwrap();
        assert_eq!(span.of(&[0, 1, 2, 3, 4]), [2, 3, 4]);
        assert_eq!(span.of(&[0, 1, 2, 3]), [0; 0]);
        assert_eq!(Span::new(3, 2), None);
        assert_eq!(Span::new(0, 70_000), None);
    }
}
