//! Sweeps by their names: [`Sweep::by_name`], and the names it takes, [`Sweep::KNOWN`].

use stratigraph_core::{EditKind, MeanOver, Positions, Sublayer};
use stratigraph_profile::catalogue::{BlockSweep, LimitedName, LimitedTo};

use super::Sweep;

impl Sweep {
    /// The names that [`by_name`](Sweep::by_name) takes; N and M stand for numbers. All but `lens` and those over blocks from
    /// `repeat_N` on can be limited to positions by `_after_first`, `_from_N` or `_at_N..M` after the name. After the names of
    /// repeats `_scaled_X` multiplies what the later runs of a layer write.
    pub const KNOWN: [&str; 48] = [
        "delete",
        "delete_after_first",
        "delete_from_N",
        "swap",
        "swap_after_first",
        "lens",
        "skip_N",
        "skip_up_to_N",
        "repeat_N",
        "repeat_up_to_N",
        "repeat_N_times_M",
        "repeat_up_to_N_times_M",
        "repeat_block_N",
        "repeat_block_up_to_N",
        "repeat_block_N_times_M",
        "repeat_block_up_to_N_times_M",
        "reverse_N",
        "reverse_up_to_N",
        "shuffle_N",
        "shuffle_up_to_N",
        "shuffle_N_seed_M",
        "shuffle_up_to_N_seed_M",
        "parallel_N",
        "parallel_up_to_N",
        "looped_parallel_N_times_M",
        "looped_parallel_up_to_N_times_M",
        "middle_N",
        "middle_up_to_N",
        "delete_attention",
        "delete_mlp",
        "mean_attention",
        "mean_mlp",
        "mean_each_attention",
        "mean_each_mlp",
        "mean_after_first_attention",
        "mean_after_first_mlp",
        "resample_attention",
        "resample_mlp",
        "zero_heads",
        "mean_heads",
        "mean_each_heads",
        "mean_after_first_heads",
        "resample_heads",
        "delete_frozen_patterns",
        "delete_frozen_norms",
        "knock_back_N",
        "knock_back_N_to_M",
        "knock_back_N_in_M_layers",
    ];

    /// A sweep by its name; none where the name is not among [`KNOWN`](Sweep::KNOWN).
    ///
    /// ```
    /// use stratigraph_surgery::Sweep;
    ///
    /// assert_eq!(Sweep::by_name("mean_mlp_from_5").unwrap().name(), "mean_mlp_from_5");
    /// assert_eq!(Sweep::by_name("delete_from_1").unwrap().name(), "delete_after_first"); // two spellings of one sweep
    /// assert!(Sweep::by_name("mean").is_none());
    /// ```
    pub fn by_name(name: &str) -> Option<Self> {
        Self::of_all_positions(name).or_else(|| {
            let (base, positions) = limited(name)?;
            Some(Self::of_all_positions(base)?.at_positions(positions))
        })
    }

    fn of_all_positions(name: &str) -> Option<Self> {
        match name {
            "delete" => Some(Self::delete()),
            "swap" => Some(Self::swap()),
            "lens" => Some(Self::lens()),
            "delete_attention" => Some(Self::sublayers(Sublayer::Attention, EditKind::Zero)),
            "delete_mlp" => Some(Self::sublayers(Sublayer::Mlp, EditKind::Zero)),
            "zero_heads" => Some(Self::heads(EditKind::Zero)),
            "delete_frozen_patterns" => Some(Self::delete_frozen_patterns()),
            "delete_frozen_norms" => Some(Self::delete_frozen_norms()),
            _ => None,
        }
        .or_else(|| BlockSweep::parse(name).map(Self::blocks))
        .or_else(|| knock_out(name.strip_prefix("knock_back_")?))
        .or_else(|| {
            let (kind, of) = name.rsplit_once('_')?;
            let kind = replacing(kind)?;
            match of {
                "attention" => Some(Self::sublayers(Sublayer::Attention, kind)),
                "mlp" => Some(Self::sublayers(Sublayer::Mlp, kind)),
                "heads" => Some(Self::heads(kind)),
                _ => None,
            }
        })
    }
}

/// The kind of edit that `mean`, `mean_each`, `mean_after_first`, `mean_from_N` and `resample` stand for.
fn replacing(name: &str) -> Option<EditKind> {
    match name {
        "mean" => Some(EditKind::Mean(MeanOver::All)),
        "mean_each" => Some(EditKind::Mean(MeanOver::Each)),
        "resample" => Some(EditKind::Resample),
        _ => match limited(name)? {
            ("mean", Positions::From(first)) => Some(EditKind::Mean(MeanOver::from(first..))),
            _ => None,
        },
    }
}

/// The sweep of `N`, `N_to_M` and `N_in_M_layers` after `knock_back_`.
fn knock_out(name: &str) -> Option<Sweep> {
    if let Some((first, last)) = name.split_once("_to_") {
        let (first, last) = (number(first)?, number(last)?);
        return (1 < first && first <= last).then(|| Sweep::knock_out(first..=last));
    }
    if let Some((n, width)) = name.strip_suffix("_layers").and_then(|name| name.split_once("_in_")) {
        return Some(Sweep::knock_out_range(1..=number(n)?, number(width)?));
    }
    Some(Sweep::knock_out(1..=number(name)?))
}

/// The name of a sweep without the end that limits it, and the positions of that limit.
fn limited(name: &str) -> Option<(&str, Positions)> {
    let LimitedName { sweep, to, .. } = LimitedName::parse(name)?;
    let positions = match to {
        LimitedTo::From(first) => Positions::from(first),
        LimitedTo::At(list) => list.parse().ok()?,
        _ => return None,
    };
    Some((sweep, positions))
}

/// A number from 1 on, without zeros before it.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == text).map(|number| number as usize)
}

#[cfg(test)]
mod tests {
    use stratigraph_core::ModelShape;
    use stratigraph_profile::catalogue;

    use super::*;
    use crate::SweepContext;

    #[test]
    fn every_known_name_makes_a_sweep_of_that_name() {
        for name in Sweep::KNOWN.map(|name| name.replace('N', "3").replace('M', "5")) {
            assert_eq!(Sweep::by_name(&name).unwrap().name(), name);
            for limited in ["_after_first", "_from_7", "_at_4", "_at_4..9"].map(|suffix| format!("{name}{suffix}")) {
                // One that is limited already is not limited again.
                let known = Sweep::by_name(&limited).map(|sweep| sweep.name().to_owned());
                let is_limited = ["delete_after_first", "delete_from_3", "swap_after_first"].contains(&&*name);
                assert_eq!(known, (!is_limited).then_some(limited));
            }
        }
    }

    #[test]
    fn what_is_no_name_makes_no_sweep() {
        for name in [
            "repeat_0",
            "repeat_3_times_1",
            "skip_3_scaled_0.5",
            "repeat_",
            "repeat_03",
            "delete_from_",
            "delete_from_0",
            "delete_from_01",
            "Delete",
            "",
            "mean",
            "mean_from_x_mlp",
            "resample_after_first_mlp",
            "delete_at_",
            "delete_at_0..",
            "delete_at_6..3",
            "delete_at_x",
            "knock_back_",
            "knock_back_0",
            "knock_back_3_to_2",
            "knock_back_1_to_2",
            "knock_back_2_in_0_layers",
            "clean_mlp",
        ] {
            assert!(Sweep::by_name(name).is_none(), "{name}");
        }
    }

    #[test]
    fn positions_from_the_second_on_have_two_spellings() {
        for base in ["delete", "swap", "mean_mlp", "zero_heads"] {
            let name = Sweep::by_name(&format!("{base}_from_1")).unwrap().name().to_owned();
            assert_eq!(name, format!("{base}_after_first"));
        }
        assert_eq!(Sweep::by_name("mean_from_1_mlp").unwrap().name(), "mean_after_first_mlp");
        assert_eq!(Sweep::by_name("delete_at_5,3,4..6").unwrap().name(), "delete_at_3..6");
    }

    /// A name with numbers in place of the letters that stand for them.
    fn with_numbers(name: &str, [n, m]: [&str; 2]) -> String {
        let part = |part| match part {
            "b" | "N" => n,
            "k" | "M" => m,
            other => other,
        };
        name.split('_').map(part).collect::<Vec<_>>().join("_")
    }

    #[test]
    fn the_catalogue_has_the_names_that_make_points_and_no_others() {
        let context = SweepContext::new(ModelShape::new(12, 8, 16).with_heads(2, 1, 4), 16);
        let makes_points = |name: &str| Sweep::by_name(name).is_some_and(|sweep| sweep.points(&context).is_ok());
        let is_listed = |name: &str| catalogue::find_sweep(name).is_some_and(|entry| !entry.needs_data);
        let listed = catalogue::sweeps().into_iter().map(|entry| entry.name);
        let listed = listed.chain(catalogue::matrix_sweeps().into_iter().map(|entry| entry.name));
        let names: Vec<_> = listed.chain(Sweep::KNOWN.map(str::to_owned)).collect();
        let limits = ["", "_after_first", "_from_1", "_from_7", "_at_4", "_at_4..9", "_at_3,4..6"];
        let no_limits =
            ["_from_", "_from_0", "_from_x", "_at_", "_at_4..", "_at_9..4", "_after", "_after_first_from_2"];
        let mut n_named = 0;
        for (name, numbers) in names.iter().flat_map(|name| [["2", "5"], ["1", "1"], ["5", "2"]].map(|it| (name, it))) {
            let name = with_numbers(name, numbers);
            for name in limits.iter().chain(&no_limits).map(|suffix| format!("{name}{suffix}")) {
                assert_eq!(makes_points(&name), is_listed(&name), "{name}");
                n_named += usize::from(is_listed(&name));
            }
        }
        assert!(n_named > 300, "{n_named}");
    }
}
