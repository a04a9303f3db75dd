//! Names of sweeps that end with the positions to which they are limited: [`LimitedName`].

use super::pattern::plain_number;

/// The end of the names of sweeps that are limited to positions from the second on.
const AFTER_FIRST: &str = "_after_first";
const FROM: &str = "_from_";
const AT: &str = "_at_";

/// The name of a sweep that is limited to positions: `delete_after_first`, `mean_mlp_from_5`, `swap_at_3..6`.
///
/// ```
/// use stratigraph_profile::catalogue::{LimitedName, LimitedTo};
///
/// let limited = LimitedName::parse("mean_mlp_from_5").unwrap();
/// assert_eq!((limited.sweep, limited.to), ("mean_mlp", LimitedTo::From(5)));
/// assert_eq!(LimitedName::parse("swap_at_0,3..6").unwrap().to, LimitedTo::At("0,3..6"));
/// assert!(LimitedName::parse("mean_mlp").is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitedName<'a> {
    /// The name of the sweep at all positions.
    pub sweep: &'a str,
    /// The rest of the name.
    pub suffix: &'a str,
    /// The positions.
    pub to: LimitedTo<'a>,
}

/// The positions to which a sweep is limited by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitedTo<'a> {
    /// From this position on, at least from 1.
    From(usize),
    /// These: a list of numbers and half-open ranges.
    At(&'a str),
}

impl<'a> LimitedName<'a> {
    /// Reads a name; none where its end does not limit it.
    pub fn parse(name: &'a str) -> Option<Self> {
        if let Some(sweep) = name.strip_suffix(AFTER_FIRST) {
            return Some(Self { sweep, suffix: AFTER_FIRST, to: LimitedTo::From(1) });
        }
        let split = |word: &str| {
            let at = name.rfind(word)?;
            Some((&name[..at], &name[at..], &name[at + word.len()..]))
        };
        let from = split(FROM).and_then(|(sweep, suffix, first)| Some((sweep, suffix, plain_number(first)?)));
        if let Some((sweep, suffix, first)) = from {
            return Some(Self { sweep, suffix, to: LimitedTo::From(first) });
        }
        let (sweep, suffix, list) = split(AT)?;
        is_list(list).then_some(Self { sweep, suffix, to: LimitedTo::At(list) })
    }
}

/// Whether a text is a list of numbers and half-open ranges, `0,3..6`.
fn is_list(text: &str) -> bool {
    /// Longer windows do not exist.
    const MOST: usize = 1 << 20;
    let number = |text: &str| text.parse().ok().filter(|n: &usize| n.to_string() == text && *n <= MOST);
    text.split(',').all(|part| match part.split_once("..") {
        Some((start, end)) => number(start).zip(number(end)).is_some_and(|(start, end)| start < end),
        None => number(part).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_names_are_read() {
        fn parsed(name: &str) -> Option<(&str, &str, LimitedTo<'_>)> {
            LimitedName::parse(name).map(|it| (it.sweep, it.suffix, it.to))
        }
        assert_eq!(parsed("delete_after_first"), Some(("delete", "_after_first", LimitedTo::From(1))));
        assert_eq!(parsed("mean_mlp_from_12"), Some(("mean_mlp", "_from_12", LimitedTo::From(12))));
        assert_eq!(parsed("mean_from_3_mlp_from_12").unwrap().0, "mean_from_3_mlp");
        assert_eq!(parsed("mean_from_3_mlp_at_4"), Some(("mean_from_3_mlp", "_at_4", LimitedTo::At("4"))));
        for list in ["3..6", "0", "2,4", "3,4..6"] {
            let name = format!("swap_at_{list}");
            assert_eq!(parsed(&name).unwrap().2, LimitedTo::At(list));
        }
        let not = ["delete", "delete_from_", "delete_from_0", "delete_from_01", "delete_from_x", "delete_at_"];
        let lists = ["delete_at_x", "delete_at_3..", "delete_at_6..3", "delete_at_1,", "delete_at_01", "delete_at_0.."];
        for name in not.into_iter().chain(lists) {
            assert_eq!(parsed(name), None, "{name}");
        }
    }
}
