//! Experiments by name: [`Experiment`] is one that the command line knows, a measurement of the library or one of words.

use std::fmt;
use std::str::FromStr;

use stratigraph_probes::lens::LensKind;
use stratigraph_study::Measurement;
use stratigraph_study::measurements::{self, ActivationPatching, EarlyGuesses, Steering};

use crate::words::WordExperiment;

/// An experiment that the program knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Experiment {
    /// A measurement that needs a model and windows alone, by its name.
    Named(String),
    /// One that needs words.
    Words(WordExperiment),
    /// Steering, which needs a direction.
    Steering,
    /// Activation patching, which needs pairs of prompts.
    Patching,
    /// A fitted lens, which needs a file.
    Lens(LensKind),
    /// The guesses of all lenses.
    EarlyGuesses,
    /// Layers removed by Taylor importance, which takes automatic differentiation.
    TaylorRemoval,
}

/// The name of the removal by Taylor importance.
const TAYLOR: &str = "remove_by_taylor";

impl Experiment {
    /// The removal by Taylor importance.
    #[cfg(feature = "fit")]
    pub fn taylor() -> anyhow::Result<Box<dyn Measurement>> {
        Ok(Box::new(stratigraph_train::importance::TaylorRemoval))
    }

    /// The removal by Taylor importance.
    #[cfg(not(feature = "fit"))]
    pub fn taylor() -> anyhow::Result<Box<dyn Measurement>> {
        anyhow::bail!("{TAYLOR} takes automatic differentiation: build with `--features fit`")
    }

    /// What the names may be, with N for a number.
    pub fn known() -> String {
        let words = WordExperiment::ALL.map(WordExperiment::name);
        let lenses = LensKind::ALL.map(LensKind::lens_name);
        let known = measurements::known_names().into_iter().chain(lenses);
        let known = known.chain([TAYLOR, Steering::NAME, ActivationPatching::NAME]);
        known.chain(words).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for Experiment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some(words) = WordExperiment::ALL.into_iter().find(|words| words.name() == name) {
            return Ok(Experiment::Words(words));
        }
        if name == Steering::NAME {
            return Ok(Experiment::Steering);
        }
        if name == ActivationPatching::NAME {
            return Ok(Experiment::Patching);
        }
        if let Some(kind) = LensKind::ALL.into_iter().find(|kind| kind.lens_name() == name) {
            return Ok(Experiment::Lens(kind));
        }
        if name == TAYLOR {
            return Ok(Experiment::TaylorRemoval);
        }
        if name == EarlyGuesses::NAME {
            return Ok(Experiment::EarlyGuesses);
        }
        match measurements::by_name(name) {
            Ok(_) => Ok(Experiment::Named(name.to_owned())),
            Err(_) => Err(format!("unknown experiment `{name}`; known: {}", Experiment::known())),
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Experiment::Named(name) => f.write_str(name),
            Experiment::Words(words) => f.write_str(words.name()),
            Experiment::Steering => f.write_str(Steering::NAME),
            Experiment::Patching => f.write_str(ActivationPatching::NAME),
            Experiment::Lens(kind) => f.write_str(kind.lens_name()),
            Experiment::EarlyGuesses => f.write_str(EarlyGuesses::NAME),
            Experiment::TaylorRemoval => f.write_str(TAYLOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_list_the_known_ones() {
        for name in [
            "delete",
            "repeat_3",
            "delete_from_1",
            "mean_heads",
            "geometry",
            "steering",
            "patching",
            "fixed_scale_lens",
            "affine_lens",
            "early_guesses",
            "skip_up_to_6",
            "remove_by_taylor",
            "wic",
            "merging_heads",
            "knock_out_words",
        ] {
            assert_eq!(name.parse::<Experiment>().unwrap().to_string(), name);
        }
        let message = "delte".parse::<Experiment>().unwrap_err();
        assert!(message.starts_with("unknown experiment `delte`; known: delete, "), "{message}");
        assert!(
            message.contains("repeat_N")
                && message.ends_with("wic, merging_heads, ensembles, verb_ensembles, knock_out_words"),
            "{message}"
        );
    }
}
