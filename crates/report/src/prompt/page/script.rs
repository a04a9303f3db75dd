//! The page's own script, [`TEXT`], and how its policy allows it, [`source`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Moves through tables by the keyboard, shows what a cell holds, colours lenses by other numbers, and draws one head at a time.
pub(super) const TEXT: &str = include_str!("script.js");

/// The source of the content security policy that allows this script and no other.
pub(super) fn source() -> String {
    source_of(TEXT)
}

/// A browser hashes a script with its line breaks as `\n`, however they are written.
fn source_of(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script.replace("\r\n", "\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_of_either_kind_have_one_hash() {
        assert_eq!(source_of("a();\r\nb();\r\n"), source_of("a();\nb();\n"));
        assert_ne!(source_of("a();\nb();\n"), source_of("a();b();\n"));
    }
}
