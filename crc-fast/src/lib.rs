//! Stands in for the crate of this name (see `[patch.crates-io]` of the
//! workspace): the one checksum of S3 that `object_store` computes by it, and
//! only where `AWS_CHECKSUM_ALGORITHM` asks for that.

/// A checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-64/NVME, as S3 has it.
    Crc64Nvme,
}

/// A checksum of bytes that come piece by piece.
#[derive(Debug, Clone)]
pub struct Digest(u64);

/// The polynomial, lowest bit first.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;
/// What each byte does to the rest.
const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ ((rest & 1) * POLYNOMIAL);
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
}

impl Digest {
    /// Of no bytes yet.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        match algorithm {
            CrcAlgorithm::Crc64Nvme => Self(!0),
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |rest, byte| {
            (rest >> 8) ^ TABLE[usize::from(rest.to_le_bytes()[0] ^ byte)]
        });
    }

    /// The checksum of all bytes.
    pub fn finalize(&self) -> u64 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        digest.update(b"1234");
        digest.update(b"56789");
        assert_eq!(digest.finalize(), 0xae8b_1486_0a79_9888);
    }
}
