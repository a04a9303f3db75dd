//! The experiment `steering`: [`SteeringArgs`] are its direction, layer, strengths and target; [`SteeringTable`] prints its
//! results.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use stratigraph_core::{CoreError, Hook, ResidualModel, TokenWindows};
use stratigraph_corpus::BosMode;
use stratigraph_models::{Tokenizer, read_vector};
use stratigraph_profile::Profile;
use stratigraph_study::measurements::{Steering, SteeringTarget, SteeringVector};

/// The most bytes of a file of prompts.
const MOST_BYTES: u64 = 1 << 24;

/// The options of the experiment `steering`.
#[derive(clap::Args)]
#[command(next_help_heading = "Steering (--experiments steering)")]
pub struct SteeringArgs {
    /// Steer toward the mean activation of these prompts, one per line
    #[arg(long, value_name = "FILE", requires = "steer_away", conflicts_with = "steer_vector")]
    steer_toward: Option<PathBuf>,
    /// ... and away from the mean activation of these
    #[arg(long, value_name = "FILE", requires = "steer_toward")]
    steer_away: Option<PathBuf>,
    /// Steer along a vector: a JSON array of numbers, or a safetensors file with one tensor
    #[arg(long, value_name = "FILE")]
    steer_vector: Option<PathBuf>,
    /// Add the vector to the residual stream that enters this layer [default: the middle one]
    #[arg(long, value_name = "N")]
    steer_layer: Option<usize>,
    /// Multiply it by each of these numbers, separated by commas [default: 0,0.5,1,1.5,2,3]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_hyphen_values = true, hide_short_help = true)]
    steer_strengths: Vec<f64>,
    /// Add it at this position of a window and all after it [default: 1]
    #[arg(long, value_name = "N", hide_short_help = true)]
    steer_from: Option<usize>,
    /// Measure --steer-target after these prompts, one per line
    #[arg(long, value_name = "FILE", requires = "steer_target")]
    steer_prompts: Option<PathBuf>,
    /// A token whose log-probability is measured, such as ' Paris'; may be given more than once
    #[arg(long, value_name = "TOKEN", requires = "steer_prompts", hide_short_help = true)]
    steer_target: Vec<String>,
    /// Measure the logits of the targets minus that of this token; may be given more than once
    #[arg(long, value_name = "TOKEN", requires = "steer_target", hide_short_help = true)]
    steer_against: Vec<String>,
}

impl SteeringArgs {
    /// Refuses options for an experiment that is not made.
    ///
    /// # Errors
    /// When an option is given and steering is not among the experiments.
    pub fn check_use(&self, steers: bool) -> Result<()> {
        let files = [&self.steer_toward, &self.steer_vector, &self.steer_prompts];
        let numbers = [self.steer_layer, self.steer_from];
        let is_given = files.iter().any(|file| file.is_some())
            || numbers.iter().any(Option::is_some)
            || !self.steer_strengths.is_empty();
        ensure!(
            steers || !is_given,
            "the options --steer-... are for the experiment steering: add it to --experiments"
        );
        Ok(())
    }

    /// The experiment on a model. Prompts begin with BOS where the windows of the corpus do.
    ///
    /// # Errors
    /// When there is no vector, or a file, a prompt, a token or the layer cannot be used.
    pub fn measurement(
        &self,
        model: &dyn ResidualModel,
        tokenizer: &Tokenizer,
        windows: &TokenWindows,
    ) -> Result<Steering> {
        let bos = if windows.bos().is_some() { BosMode::Always } else { BosMode::Never };
        let prompts = |file: &Path| prompts(file, tokenizer, bos);
        let n_layers = model.n_layers();
        let layer = self.steer_layer.unwrap_or(n_layers / 2);
        if layer >= n_layers {
            return Err(CoreError::LayerOutOfRange { layer, n_layers }).context("cannot use --steer-layer");
        }
        let point = Hook::ResidPre.at(layer);
        let vector = match (&self.steer_vector, &self.steer_toward, &self.steer_away) {
            (Some(file), ..) => SteeringVector::new(point, read_vector(file, model.d_model())?),
            (None, Some(toward), Some(away)) => {
                let (toward, away) = (prompts(toward)?, prompts(away)?);
                SteeringVector::between(model, point, &toward, &away)?
            }
            _ => bail!(
                "steering needs a direction: give --steer-toward FILE and --steer-away FILE, or --steer-vector FILE"
            ),
        };
        let mut steering = Steering::new(vector);
        if let Some(first) = self.steer_from {
            steering = steering.with_positions(first..);
        }
        if !self.steer_strengths.is_empty() {
            steering = steering.with_strengths(self.steer_strengths.iter().copied());
        }
        if let Some(file) = &self.steer_prompts {
            let ids =
                |texts: &[String]| texts.iter().map(|text| Ok(tokenizer.token(text)?)).collect::<Result<Vec<_>>>();
            let target = SteeringTarget::new(prompts(file)?, ids(&self.steer_target)?);
            steering = steering.with_target(target.against(ids(&self.steer_against)?));
        }
        Ok(steering)
    }
}

/// The prompts of a file, one for each line that is not empty.
fn prompts(file: &Path, tokenizer: &Tokenizer, bos: BosMode) -> Result<Vec<TokenWindows>> {
    let cannot = || format!("cannot read {}", file.display());
    let mut text = String::new();
    File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text)).with_context(cannot)?;
    let is_whole = text.len() as u64 <= MOST_BYTES;
    ensure!(is_whole, "{}: it has more than {MOST_BYTES} bytes, the most for a file of prompts", cannot());
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let prompt = |(index, line): (usize, &str)| {
        tokenizer.prompt_with(line, bos).with_context(|| format!("{}, line {}", file.display(), index + 1))
    };
    let prompts: Vec<_> = lines.map(prompt).collect::<Result<_>>()?;
    ensure!(!prompts.is_empty(), "{} has no prompts; write one per line", file.display());
    Ok(prompts)
}

/// The curves of a terminal table.
const COLUMNS: [&str; 4] = ["steer_target", "steer_nll", "steer_kl", "steer_top1_agreement"];

/// The target and the cost of each strength.
pub struct SteeringTable<'a>(pub &'a Profile);

impl SteeringTable<'_> {
    /// Whether it has a column for a curve.
    pub fn shows(curve: &str) -> bool {
        COLUMNS.contains(&curve)
    }
}

impl fmt::Display for SteeringTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let curves: Vec<_> = COLUMNS.iter().filter_map(|name| Some((*name, self.0.curves.get(*name)?))).collect();
        let Some((_, first)) = curves.first() else { return Ok(()) };
        write!(f, "{:8}", first.axis.name())?;
        curves.iter().try_for_each(|(name, _)| write!(f, "  {name}"))?;
        for row in 0..first.len() {
            write!(f, "\n{:8}", first.axis.tick(row))?;
            for (name, curve) in &curves {
                let cell = curve.mean.get(row).map(|mean| format!("{mean:.3}")).unwrap_or_default();
                write!(f, "  {cell:>0$}", name.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Unit};

    use super::*;

    #[test]
    fn a_strength_is_a_row() {
        let profile = Profile::new(ModelRecord::new("m", 2, 4, 8), CorpusRecord::new("c", 1, 4));
        assert_eq!(SteeringTable(&profile).to_string(), "");
        let curve = |mean: [f64; 2]| Curve::new(Axis::labelled("strength", ["0", "0.5"]), Unit::Nats, mean.into());
        let profile = profile.with_curve("steer_nll", curve([3.0, 3.25])).unwrap();
        let profile = profile.with_curve("steer_target", curve([-5.0, -4.5])).unwrap();
        let expected = "strength  steer_target  steer_nll\n\
                        0               -5.000      3.000\n\
                        0.5             -4.500      3.250";
        assert_eq!(SteeringTable(&profile).to_string(), expected);
    }
}
