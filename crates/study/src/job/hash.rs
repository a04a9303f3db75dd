//! Token ids as SHA-256: [`hash_tokens`].

use sha2::{Digest, Sha256};
use stratigraph_core::{TokenWindows, hex};

/// The SHA-256 of the token ids of all windows, each as four bytes, the lowest first; the sum of a job's `tokens.bin`.
pub fn hash_tokens(windows: &TokenWindows) -> String {
    hash_bytes(&token_bytes(windows.ids()))
}

/// Token ids as they are stored.
pub(crate) fn token_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

pub(crate) fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_sum_of_their_bytes() {
        let windows = TokenWindows::new(&[0x6463_6261, 0x6867_6665], 2).unwrap(); // the bytes of `abcdefgh`
        let sum = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"; // sha256sum
        assert_eq!(hash_tokens(&windows), sum);
    }
}
