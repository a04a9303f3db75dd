//! Bytes as text: [`hex`].

use std::fmt::Write;

/// Bytes in hexadecimal, two lower-case digits for each: the form in which hashes are written.
///
/// ```
/// let hash = [0x9c, 0x56, 0x0c, 0xc5];
/// assert_eq!(stratigraph_core::hex(&hash), "9c560cc5");
/// assert_eq!(stratigraph_core::hex(&hash[..2]), "9c56"); // the short form of a hash
/// ```
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits_that_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = hex(&bytes);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let read: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        assert_eq!(read, bytes);
        assert_eq!(hex(&[]), "");
    }
}
