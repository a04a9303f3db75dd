//! Sweeps that are limited to positions of each window, by the ends of their names: [`Limit`].

use super::{LimitedName, LimitedTo, MatrixEntry, SweepEntry};

/// The end of a sweep's name that limits it to positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit<'a> {
    /// The end of the sweep's name.
    pub(super) suffix: &'a str,
    /// The first position, or the positions themselves where these are listed.
    pub(super) positions: &'a str,
}

const AFTER_FIRST: &str = "_after_first";

impl<'a> Limit<'a> {
    /// The limits that the table lists, with the number left open.
    pub(super) const USUAL: [Limit<'static>; 2] =
        [Limit { suffix: AFTER_FIRST, positions: "1" }, Limit { suffix: "_from_b", positions: "b" }];

    /// The limit in the name of a sweep.
    pub(super) fn of(name: LimitedName<'a>) -> Self {
        let positions = match name.to {
            LimitedTo::From(1) => "1",
            LimitedTo::From(_) => name.suffix.trim_start_matches(|c: char| !c.is_ascii_digit()),
            LimitedTo::At(list) => list,
        };
        Self { suffix: name.suffix, positions }
    }

    /// The sweep that it limits, limited.
    pub(super) fn entry(self, sweep: &SweepEntry) -> SweepEntry {
        SweepEntry {
            name: format!("{}{}", sweep.name, self.suffix),
            title: format!("{} {}", sweep.title, self.words()),
            label: format!("{} {}", sweep.label, self.words()),
            text: self.text(sweep),
            definition: format!("{}. {}", sweep.definition, self.definition()),
            ..sweep.clone()
        }
    }

    /// The same of a sweep over two axes.
    pub(super) fn matrix(self, sweep: &MatrixEntry) -> MatrixEntry {
        MatrixEntry {
            name: format!("{}{}", sweep.name, self.suffix),
            title: format!("{} {}", sweep.title, self.words()),
            definition: format!("{}. {}", sweep.definition, self.definition()),
            ..sweep.clone()
        }
    }

    fn is_listed(self) -> bool {
        self.suffix.starts_with("_at_")
    }

    fn words(self) -> String {
        match self.suffix {
            AFTER_FIRST => "after the first position".to_owned(),
            _ if self.is_listed() => format!("at positions {}", self.positions),
            _ => format!("from position {} on", self.positions),
        }
    }

    fn definition(self) -> String {
        let words = self.words();
        format!("Only {words} of each window; the other positions pass through the unchanged layers")
    }

    /// The intervention as text.
    fn text(self, sweep: &SweepEntry) -> String {
        let positions = if self.is_listed() { self.positions.to_owned() } else { format!("{}..", self.positions) };
        let skip = |slot: usize, positions: &str| format!("blocks.{slot}.hook_resid_post pos={positions} skip");
        match &*sweep.name {
            "delete" => format!("0..12 | {}", skip(3, &positions)),
            "swap" => {
                let others = match self.positions {
                    _ if self.is_listed() => "OTHERS".to_owned(),
                    "1" => "0".to_owned(),
                    "2" => "0,1".to_owned(),
                    first => format!("0..{first}"),
                };
                format!("0..3-4-3..12 | {} | {}", skip(3, &others), skip(5, &positions))
            }
            _ => {
                let edited = |part: &str| match part.rsplit_once(' ') {
                    Some((point, kind)) if point.contains("hook") => format!("{point} pos={positions} {kind}"),
                    _ => part.to_owned(),
                };
                sweep.text.split(" | ").map(edited).collect::<Vec<_>>().join(" | ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::catalogue::{find, find_matrix, find_sweep};

    #[test]
    fn limited_sweeps_have_the_words_of_the_sweep_and_of_the_limit() {
        let deleted = find_sweep("delete_after_first").unwrap();
        assert_eq!(deleted.title, "Deleting a layer after the first position");
        assert_eq!(deleted.text, "0..12 | blocks.3.hook_resid_post pos=1.. skip");
        let swapped = find_sweep("swap_from_5").unwrap();
        assert_eq!(
            swapped.text,
            "0..3-4-3..12 | blocks.3.hook_resid_post pos=0..5 skip | blocks.5.hook_resid_post pos=5.. skip"
        );
        assert_eq!(find_sweep("mean_mlp_at_2,4").unwrap().text, "0..12 | blocks.3.hook_mlp_out pos=2,4 mean");
        assert_eq!(find("knock_back_5_after_first_kl").unwrap().label, "knock back 5 after the first position: KL");
        let heads = find_matrix("zero_heads_from_7_kl").unwrap();
        assert_eq!(heads.title, "Zeroing a head from position 7 on: KL");
        assert!(find_sweep("lens_after_first").is_none() && find_sweep("repeat_3_from_2").is_none());
        // Sweeps with data of their own have no such names.
        for name in ["knock_out_within_words", "patch_mlp_out_layers", "patch_z_heads", "steer"] {
            assert!(find_sweep(name).unwrap().needs_data, "{name}");
            assert!(find_sweep(&format!("{name}_after_first")).is_none(), "{name}");
        }
    }
}
