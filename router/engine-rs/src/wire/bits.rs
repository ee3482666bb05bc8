//! Reading of single bits, for the headers of H.264 and AV1 and the dependency descriptor.

use super::ParseError;

/// A reader from the highest bit down. Reading past the end is an error, never zeros.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    bits_left: u32,
    /// H.264 inserts a 3 behind two zero bytes, so that no start code appears inside a NAL unit.
    emulation_prevention: bool,
}

impl<'a> BitReader<'a> {
    /// Reads the bytes as they are.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            bits_left: 8,
            emulation_prevention: false,
        }
    }

    /// Reads the payload of an H.264 NAL unit, without its emulation prevention bytes.
    pub const fn of_nal_unit(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            bits_left: 8,
            emulation_prevention: true,
        }
    }

    /// Bits read so far, inserted bytes included.
    pub const fn position(&self) -> usize {
        (self.at + 1) * 8 - self.bits_left as usize
    }

    /// Reads one bit.
    pub fn read_flag(&mut self) -> Result<bool, ParseError> {
        if self.bits_left == 0 {
            self.at += 1;
            self.bits_left = 8;
            if self.emulation_prevention && self.is_inserted() {
                self.at += 1;
            }
        }
        let byte = self.bytes.get(self.at).ok_or(ParseError::TooShort)?;
        self.bits_left -= 1;
        Ok(byte >> self.bits_left & 1 == 1)
    }

    fn is_inserted(&self) -> bool {
        self.at >= 2 && self.bytes.get(self.at - 2..=self.at) == Some(&[0, 0, 3])
    }

    /// Reads up to 32 bits.
    pub fn read_bits(&mut self, count: u32) -> Result<u32, ParseError> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.read_flag()?);
        }
        Ok(value)
    }

    /// Skips bits.
    pub fn skip(&mut self, count: u32) -> Result<(), ParseError> {
        for _ in 0..count {
            self.read_flag()?;
        }
        Ok(())
    }

    /// Reads an unsigned Exp-Golomb code of at most 32 bits: ue(v) of H.264, uvlc of AV1.
    pub fn read_ue(&mut self) -> Result<u32, ParseError> {
        let mut zeros = 0;
        while !self.read_flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(ParseError::BadValue);
            }
        }
        let rest = self.read_bits(zeros)?;
        Ok((1_u32 << zeros) - 1 + rest)
    }

    /// Reads one of `count` values as ns(n) of AV1: as few bits as the value needs.
    pub fn read_non_symmetric(&mut self, count: u32) -> Result<u32, ParseError> {
        let width = u32::BITS - count.leading_zeros();
        let short = (1_u32 << width) - count;
        let value = self.read_bits(width.saturating_sub(1))?;
        if value < short {
            return Ok(value);
        }
        Ok((value << 1) - short + u32::from(self.read_flag()?))
    }

    /// Reads a signed Exp-Golomb code: se(v) of H.264.
    pub fn read_se(&mut self) -> Result<i32, ParseError> {
        let code = self.read_ue()?;
        let magnitude = code.div_ceil(2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes() {
        // 1, 010, 011, 00100, 00101: 0, 1, 2, 3, 4
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<_> = (0..5).map(|_| reader.read_ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<_> = (0..5).map(|_| reader.read_se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
        assert_eq!(BitReader::new(&[0; 8]).read_ue(), Err(ParseError::BadValue));
        let largest = [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE];
        assert_eq!(BitReader::new(&largest).read_ue(), Ok(u32::MAX - 1));
    }

    #[test]
    fn non_symmetric_codes() {
        // One of five: 00, 01, 10, 110, 111.
        let mut reader = BitReader::new(&[0b0001_1011, 0b0111_0000]);
        let values: Vec<_> = (0..5)
            .map(|_| reader.read_non_symmetric(5).unwrap())
            .collect();
        assert_eq!((values, reader.position()), (vec![0, 1, 2, 3, 4], 12));
        assert_eq!(reader.read_non_symmetric(1), Ok(0));
        assert_eq!(reader.position(), 12, "one value needs no bit");
    }

    #[test]
    fn the_end_is_an_error() {
        let mut reader = BitReader::new(&[0xAB]);
        assert_eq!(reader.read_bits(8), Ok(0xAB));
        assert_eq!(reader.read_flag(), Err(ParseError::TooShort));
        assert_eq!(reader.read_flag(), Err(ParseError::TooShort));
        assert_eq!(BitReader::new(&[]).read_bits(1), Err(ParseError::TooShort));
    }

    #[test]
    fn emulation_prevention_bytes_are_skipped() {
        let mut reader = BitReader::of_nal_unit(&[0, 0, 3, 1, 3, 0, 0, 3]);
        assert_eq!(reader.read_bits(32), Ok(0x0000_0103));
        assert_eq!(reader.read_bits(16), Ok(0));
        assert_eq!(reader.read_flag(), Err(ParseError::TooShort));
        assert_eq!(BitReader::new(&[0, 0, 3, 1]).read_bits(32), Ok(0x0000_0301));
    }
}
