//! Names with a part left open: [`captured`] and [`Captured::fill`].

/// What a name has where a pattern has `{n}` or `{hook}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Captured<'a> {
    /// Its text; none for a pattern without an open part.
    pub(super) text: &'a str,
    /// The number that it is, or 0.
    pub(super) number: usize,
    /// Its text in place of the pattern's `{m}`; empty for a pattern without one.
    pub(super) second: &'a str,
}

/// The open part of a pattern.
const NUMBER: &str = "{n}";
const SECOND: &str = "{m}";
const HOOK: &str = "{hook}";

/// What `name` has in the open part of `pattern`; none where they do not match. A number is at least 1 and has no zeros before
/// it; another text is not empty.
pub(super) fn captured<'a>(pattern: &str, name: &'a str) -> Option<Captured<'a>> {
    let between = |open: &str| -> Option<&'a str> {
        let (before, after) = pattern.split_once(open)?;
        name.strip_prefix(before)?.strip_suffix(after).filter(|text| !text.is_empty())
    };
    let plain = plain_number;
    if pattern.contains(SECOND) {
        let (text, second) = both(pattern, name)?;
        plain(second)?;
        return Some(Captured { text, number: plain(text)?, second });
    }
    if pattern.contains(NUMBER) {
        let text = between(NUMBER)?;
        return Some(Captured { text, number: plain(text)?, second: "" });
    }
    if pattern.contains(HOOK) {
        return Some(Captured { text: between(HOOK)?, number: 0, second: "" });
    }
    (pattern == name).then_some(Captured { text: "", number: 0, second: "" })
}

/// A number from 1 on, without zeros before it.
pub(super) fn plain_number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n: &usize| *n > 0 && n.to_string() == text)
}

/// The texts in place of `{n}` and `{m}`, in whichever order the pattern has them.
fn both<'a>(pattern: &str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let n_is_first = pattern.find(NUMBER)? < pattern.find(SECOND)?;
    let (first, last) = if n_is_first { (NUMBER, SECOND) } else { (SECOND, NUMBER) };
    let (before, rest) = pattern.split_once(first)?;
    let (between, after) = rest.split_once(last)?;
    let (a, b) = name.strip_prefix(before)?.strip_suffix(after)?.split_once(between)?;
    Some(if n_is_first { (a, b) } else { (b, a) })
}

impl Captured<'_> {
    /// A text with what was captured in place of its open part.
    pub(super) fn fill(self, text: &str) -> String {
        text.replace(NUMBER, self.text).replace(SECOND, self.second).replace(HOOK, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_match() {
        let number = |pattern, name| captured(pattern, name).map(|it| it.number);
        assert_eq!((number("repeat_{n}", "repeat_17"), number("top{n}_overlap", "top5_overlap")), (Some(17), Some(5)));
        assert_eq!((number("swap", "swap"), number("swap", "swaps")), (Some(0), None));
        for odd in ["repeat_", "repeat_0", "repeat_+3", "repeat_03", "repeat_x", "repeat_3_"] {
            assert_eq!(number("repeat_{n}", odd), None, "{odd}");
        }
        assert_eq!(captured("patch_{hook}", "patch_resid_pre").unwrap().fill("at {hook}"), "at resid_pre");
        assert_eq!(captured("patch_{hook}", "patch_"), None);
        let two = |pattern, name| captured(pattern, name).map(|it| (it.number, it.second));
        assert_eq!(two("back_{n}_to_{m}", "back_3_to_15"), Some((3, "15")));
        assert_eq!(two("back_{m}_in_{n}_layers", "back_3_in_15_layers"), Some((15, "3")));
        for odd in ["back_3_to_", "back_3_to_x", "back_03_to_5", "back_to_5", "back_3"] {
            assert_eq!(two("back_{n}_to_{m}", odd), None, "{odd}");
        }
    }
}
