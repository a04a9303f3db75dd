//! Names with a number in them: [`number_in`], [`fill`].

/// The number that stands in `name` where `pattern` has `{n}`, or 0 for a pattern without one that equals the name. None
/// where they do not match. A number is at least 1 and has no zeros before it.
pub(super) fn number_in(pattern: &str, name: &str) -> Option<usize> {
    let Some((before, after)) = pattern.split_once("{n}") else { return (pattern == name).then_some(0) };
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    digits.parse().ok().filter(|n: &usize| *n > 0 && n.to_string() == digits)
}

/// The text with the number in place of `{n}`.
pub(super) fn fill(text: &str, n: usize) -> String {
    text.replace("{n}", &n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_match() {
        assert_eq!(
            (number_in("repeat_{n}", "repeat_17"), number_in("top{n}_overlap", "top5_overlap")),
            (Some(17), Some(5))
        );
        assert_eq!((number_in("swap", "swap"), number_in("swap", "swaps")), (Some(0), None));
        for odd in ["repeat_", "repeat_0", "repeat_+3", "repeat_03", "repeat_x", "repeat_3_"] {
            assert_eq!(number_in("repeat_{n}", odd), None, "{odd}");
        }
    }
}
