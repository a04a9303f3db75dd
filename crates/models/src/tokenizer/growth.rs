//! How much longer a `tokenizer.json` could make a text: [`check`] refuses a file whose steps multiply a text without bound.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

/// How many times longer the steps of a tokenizer may make a text, at most. SentencePiece's table of characters (33 times), two
/// kinds of marks for spaces and the characters of bytes stay below it together.
const MOST: f64 = 4096.0;

/// Refuses a tokenizer whose steps could make a text, or the text of its tokens, more than [`MOST`] times longer, or whose
/// table of characters claims to be longer than it is.
pub(super) fn check(tokenizer: &Value) -> Result<(), String> {
    let part = |key: &str| tokenizer.get(key).map_or(Ok(1.0), growth);
    let parts = [
        ("normalizer and pre_tokenizer", part("normalizer")? * part("pre_tokenizer")?),
        ("post_processor", part("post_processor")?),
        ("decoder", part("decoder")?),
    ];
    match parts.into_iter().find(|(_, growth)| *growth > MOST) {
        Some((name, growth)) => {
            Err(format!("its {name} could make a text {growth:.0} times longer, and more than {MOST} is not allowed"))
        }
        None => Ok(()),
    }
}

/// The factor of a step, or of a sequence of steps, whatever it is called and however deep it is nested.
fn growth(step: &Value) -> Result<f64, String> {
    match step {
        Value::Array(steps) => steps.iter().map(growth).product(),
        Value::Object(step) => {
            let inside = step.values().map(growth).product::<Result<f64, String>>()?;
            Ok(inside * growth_of(step)?)
        }
        _ => Ok(1.0),
    }
}

/// The factor of a step itself.
fn growth_of(step: &Map<String, Value>) -> Result<f64, String> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    let length = |key: &str| text(key).map_or(0.0, |text| text.len() as f64);
    let has = |key: &str| step.contains_key(key);
    let mut factor = 1.0;
    if text("type") == Some("ByteLevel") || has("trim_offsets") {
        factor *= 2.0; // a byte becomes a character of up to two bytes
    }
    if let Some(pattern) = step.get("pattern").filter(|_| has("content")) {
        factor *= replaced(pattern, length("content"));
    }
    for added in ["prepend", "append", "replacement"] {
        factor *= 1.0 + length(added); // before each piece, or in place of each space
    }
    // A text is put between all characters where what it replaces is empty.
    for replaced in ["suffix", "prefix", "word_delimiter_token", "pad_token"] {
        factor *= if text(replaced) == Some("") { 2.0 } else { 1.0 };
    }
    if let Some(pieces) = step.get("single").and_then(Value::as_array) {
        factor *= pieces.len().max(1) as f64; // a template may repeat the text
    }
    if let Some(table) = text("precompiled_charsmap") {
        factor *= longest_replacement(table)?;
    }
    Ok(factor)
}

/// The factor of replacing what matches a pattern by a text of `length` bytes.
fn replaced(pattern: &Value, length: f64) -> f64 {
    let matched = match (pattern.get("String").and_then(Value::as_str), pattern.get("Regex").and_then(Value::as_str)) {
        (Some(text), _) => text.len() as f64,
        (_, Some(regex)) if never_empty(regex) => 1.0,
        _ => 0.0,
    };
    if matched > 0.0 { (length / matched).max(1.0) } else { 1.0 + length }
}

/// Whether every match of a pattern is certain to have a character: it is a character or a class that is not optional, as in
/// ` {2,}` and `\s+`. Other patterns may have such matches only, which is then not seen.
fn never_empty(regex: &str) -> bool {
    let alternatives = regex.contains(['|', '(', ')', '^', '$']) || regex.contains("\\b") || regex.contains("\\B");
    let optional = regex.contains(['*', '?']) || regex.contains("{0");
    !regex.is_empty() && !alternatives && !optional && !regex.contains("{,")
}

/// The length in bytes of the longest text in the table of a `Precompiled` normalizer, in base64: a number of bytes, as many
/// bytes of a trie, and texts that end with a zero byte.
fn longest_replacement(table: &str) -> Result<f64, String> {
    let bytes =
        BASE64_STANDARD.decode(table).map_err(|error| format!("its precompiled_charsmap is not base64: {error}"))?;
    let (size, rest) = bytes.split_first_chunk().ok_or("its precompiled_charsmap is cut short")?;
    let size = u32::from_le_bytes(*size) as usize;
    let texts = rest
        .get(size..)
        .ok_or_else(|| format!("its precompiled_charsmap says that {size} bytes follow, and {} do", rest.len()))?;
    Ok(texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(tokenizer: Value, part: &str) {
        let message = check(&tokenizer).expect_err(part);
        assert!(message.contains(part), "{message}");
    }

    fn repeated(key: &str, step: Value, times: usize) -> Value {
        json!({ key: { "type": "Sequence", "steps": vec![step; times] } })
    }

    #[test]
    fn steps_that_double_a_text_again_and_again_are_refused() {
        let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false });
        refused(
            repeated("pre_tokenizer", byte_level.clone(), 40),
            "pre_tokenizer could make a text 1099511627776 times",
        );
        refused(repeated("normalizer", byte_level.clone(), 13), "8192 times longer");
        check(&repeated("pre_tokenizer", byte_level.clone(), 2)).unwrap();
        refused(json!({ "normalizer": vec![&byte_level; 7], "pre_tokenizer": vec![&byte_level; 6] }), "8192 times");
        let replace =
            |pattern: Value, content: &str| json!({ "type": "Replace", "pattern": pattern, "content": content });
        refused(repeated("normalizer", replace(json!({ "String": "q" }), "qq"), 13), "normalizer");
        refused(repeated("decoder", replace(json!({ "Regex": "(?=a)" }), "a"), 13), "decoder");
        refused(repeated("decoder", replace(json!({ "String": "" }), "a"), 13), "decoder");
        refused(repeated("decoder", json!({ "type": "BPEDecoder", "suffix": "" }), 13), "decoder");
        refused(repeated("post_processor", json!({ "type": "TemplateProcessing", "single": ["A", "A"] }), 13), "post");
        // What people use: runs of spaces become one, quotes become shorter, words begin with a mark.
        let usual = vec![replace(json!({ "Regex": " {2,}" }), " "), replace(json!({ "String": "``" }), "\"")];
        check(&repeated("normalizer", json!(usual), 20)).unwrap();
        let mark = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" });
        check(
            &json!({ "normalizer": [replace(json!({ "String": " " }), "▁")], "pre_tokenizer": mark, "decoder": mark }),
        )
        .unwrap();
    }

    #[test]
    fn a_table_of_characters_has_the_length_that_it_says() {
        let table = |bytes: &str| json!({ "normalizer": { "type": "Precompiled", "precompiled_charsmap": bytes } });
        refused(table("/P///wAA"), "4294967292 bytes follow, and 2 do");
        refused(table("AAAA"), "is cut short");
        refused(table("not base64!"), "is not base64");
        check(&table("AAAAAGFiAA==")).unwrap(); // an empty trie, and `ab`
        assert_eq!(longest_replacement("AAAAAGFiAA==").unwrap(), 2.0);
    }
}
