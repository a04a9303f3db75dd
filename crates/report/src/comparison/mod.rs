//! Several models on one page over relative depth: [`Comparison`], with their [`Alignment`].

mod alignment;
mod checkpoints;
mod families;
mod html;

pub use alignment::Alignment;
use families::family_series;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stratigraph_profile::{Profile, catalogue};

use crate::figure::{Figure, Horizontal, Lines, Panel, Point, Series, Side};
use crate::out_dir::write_new;
use crate::{ReportError, Result};

/// Profiles side by side: the stages of each model as a bar, and every signal with a curve for each model.
///
/// Depth is relative: 0 before the first layer, 1 after the last. The residual position before layer `l` of `L` is at `l / L`,
/// as the boundaries of stages do, and the layer itself in the middle of its stretch, at `(l + 1/2) / L`.
#[derive(Debug, Clone)]
pub struct Comparison {
    models: Vec<Model>,
    families: Vec<String>,
    checkpoints: Vec<String>,
}

#[derive(Debug, Clone)]
struct Model {
    name: String,
    profile: Profile,
}

const DAMAGE: &[&str] = &["delete_kl", "swap_kl", "delete_top1_agreement", "swap_top1_agreement"];
const LENS: &[&str] = &["lens_kl", "lens_entropy_bits", "lens_top1_agreement", "wic_accuracy"];
const INSIDE: &[&str] = &[
    "prev5_attention_mass",
    "first_token_attention",
    "prediction_neurons",
    "suppression_neurons",
    "mlp_out_norm",
    "block_influence",
];

impl Comparison {
    /// The comparison of these profiles, in this order. Models of one name are numbered.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(profiles: impl IntoIterator<Item = Profile>) -> Result<Self> {
        let mut models: Vec<Model> = Vec::new();
        for profile in profiles {
            let name = &profile.model.name;
            let again = models.iter().filter(|model| model.profile.model.name == *name).count();
            let name = if again == 0 { name.clone() } else { format!("{name} ({})", again + 1) };
            models.push(Model { name, profile });
        }
        if models.is_empty() {
            return Err(ReportError::NothingToCompare);
        }
        Ok(Self { models, families: Vec::new(), checkpoints: Vec::new() })
    }

    /// The comparison of these `profile.json` files.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub fn read(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let profiles: std::result::Result<Vec<_>, _> = paths.into_iter().map(Profile::read).collect();
        Self::new(profiles?)
    }

    /// Draws the mean of each family instead of its models: those whose names contain the family's, in any case.
    ///
    /// # Errors
    /// When no model's name contains one.
    pub fn with_families(mut self, families: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        self.families = families.into_iter().map(Into::into).collect();
        match self.families.iter().find(|family| family.trim().is_empty() || self.of_family(family).is_empty()) {
            None => Ok(self),
            Some(family) => Err(ReportError::NoSuchFamily { family: family.clone(), known: self.names() }),
        }
    }

    /// Reads the profiles as checkpoints of one training run, in this order, with a label each, such as the share of the
    /// training, and adds maps of the curves over training and depth.
    ///
    /// # Errors
    /// When there are not as many labels as profiles, or the models have different numbers of layers.
    pub fn with_checkpoints(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        self.checkpoints = labels.into_iter().map(Into::into).collect();
        let (labels, profiles) = (self.checkpoints.len(), self.models.len());
        if labels != profiles {
            return Err(ReportError::CheckpointLabels { labels, profiles });
        }
        let depths: BTreeSet<usize> = self.models.iter().map(|model| model.profile.model.n_layers).collect();
        if depths.len() > 1 {
            return Err(ReportError::CheckpointDepths { depths: depths.into_iter().collect() });
        }
        for (model, label) in self.models.iter_mut().zip(&self.checkpoints) {
            model.name = format!("{} at {label}", model.profile.model.name);
        }
        Ok(self)
    }

    /// How similar the models' curves are over relative depth: each curve that two models have, and all curves together.
    pub fn alignment(&self) -> Vec<Alignment> {
        let profiles: Vec<&Profile> = self.models.iter().map(|model| &model.profile).collect();
        alignment::alignments(&profiles, &[DAMAGE, LENS, INSIDE].concat())
    }

    /// A note for the reader if the profiles are of different precisions.
    pub fn precision_note(&self) -> Option<String> {
        let precisions: BTreeSet<&str> = self.models.iter().map(|it| it.profile.model.precision.as_str()).collect();
        let named = precisions.iter().copied().collect::<Vec<_>>().join(", ");
        (precisions.len() > 1).then(|| {
            format!(
                "The profiles are of different precisions ({named}): small differences may be those of rounded weights."
            )
        })
    }

    /// The names of the models, separated by commas.
    fn names(&self) -> String {
        self.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn of_family(&self, family: &str) -> Vec<&Model> {
        self.models.iter().filter(|model| model.is_of(family)).collect()
    }

    /// Writes the page to `compare.html` and the figures to `figures/compared-*.svg` in a directory, which is made where it is absent;
    /// returns the paths of the files.
    ///
    /// # Errors
    /// When one of the files is there already, or cannot be written.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let page = ("compare.html".to_owned(), self.to_string());
        let figures = self.figures().into_iter();
        let figures = figures.map(|it| (format!("figures/compared-{}.svg", it.name), it.to_string()));
        let write = |(name, content): (String, String)| write_new(directory.as_ref().join(name), content.as_bytes());
        std::iter::once(page).chain(figures).map(write).collect()
    }

    /// The stages of each model for a terminal, a line of one width each, with a legend below.
    pub fn chart(&self) -> String {
        crate::terminal::lines(self.models.iter().map(|model| (model.name.as_str(), &model.profile)))
    }

    /// The figures: damage, lens, and the inside of the unchanged models, each with a curve for each model.
    pub fn figures(&self) -> Vec<Figure> {
        let wanted = [
            (
                "damage",
                "Deleting and swapping layers",
                "The effect of deleting and swapping layers in each model.",
                DAMAGE,
            ),
            (
                "lens",
                "What the residual stream holds",
                "The logit lens and probes on the way through each model.",
                LENS,
            ),
            ("inside", "Inside the unchanged models", "Attention, neurons and norms of each model.", INSIDE),
        ];
        let source = self.names();
        let figure = |(name, title, caption, curves): (&str, &str, &str, &[&str])| Figure {
            panels: curves.iter().filter_map(|curve| self.panel(curve)).collect(),
            ..Figure::new(name, title)
                .with_caption(format!("{caption} Depth is relative: 0 is before the first layer, 1 after the last."))
                .with_source(&source)
        };
        let training = (!self.checkpoints.is_empty()).then(|| checkpoints::figure(&self.models, &self.checkpoints));
        training.into_iter().chain(wanted.into_iter().map(figure)).filter(|figure| !figure.panels.is_empty()).collect()
    }

    fn panel(&self, curve: &str) -> Option<Panel> {
        let entry = catalogue::find(curve)?;
        let mut left = Side::new(entry.axis_label(), entry.scale);
        let means = self.families.iter().filter_map(|family| family_series(family, &self.of_family(family), curve));
        let is_alone = |model: &&Model| !self.families.iter().any(|family| model.is_of(family));
        left.series =
            means.chain(self.models.iter().filter(is_alone).filter_map(|model| model.series(curve))).collect();
        let panel = Panel::Lines(Lines::new(entry.title, Horizontal::relative_depth(), left));
        matches!(&panel, Panel::Lines(lines) if !lines.left.series.is_empty()).then_some(panel)
    }
}

impl Model {
    /// Whether its name contains that of a family, in any case.
    fn is_of(&self, family: &str) -> bool {
        self.name.to_lowercase().contains(&family.to_lowercase())
    }

    /// A curve over relative depth; `None` where it has no number or does not run over depth.
    fn series(&self, curve: &str) -> Option<Series> {
        let n_layers = self.profile.model.n_layers.max(1);
        let curve = self.profile.curve_or_derived(curve).filter(|curve| curve.axis.n_layers().is_some())?;
        let Series { name, points } = Series::from_curve(&self.name, &curve);
        let relative = |point: Point| {
            let at = format!("{} of {n_layers}", point.at);
            Point::new((point.x + 0.5) / n_layers as f64, at, point.y).with_sem(point.sem)
        };
        Some(Series::new(name, points.into_iter().map(relative).collect())).filter(Series::has_numbers)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::profile;

    #[test]
    fn depth_is_relative_and_names_are_told_apart() {
        let short = profile(2, &[("delete_kl", &[1.0, 2.0]), ("lens_kl", &[4.0, 2.0, 0.0])]);
        let long = profile(4, &[("swap_kl", &[1.0, 2.0, 3.0]), ("lens_kl", &[f64::NAN; 5])]);
        let comparison = Comparison::new([short, long]).unwrap();
        let series: Vec<_> = comparison.figures().into_iter().flat_map(|figure| figure.panels).collect();
        let xs = |panel: &Panel| match panel {
            Panel::Lines(lines) => lines.left.series[0].points.iter().map(|point| point.x).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(
            series.iter().map(xs).collect::<Vec<_>>(),
            [vec![0.25, 0.75], vec![0.25, 0.5, 0.75], vec![0.0, 0.5, 1.0]]
        );
        assert!(comparison.to_string().contains("m (2)"));
    }

    #[test]
    fn families_are_averaged() {
        let of = |name: &str, values: &[f64]| {
            let mut profile = profile(values.len(), &[("delete_kl", values)]);
            profile.model.name = name.into();
            profile
        };
        let models = [of("Small-a", &[1.0, 2.0, 3.0]), of("small-b", &[3.0, 4.0, 5.0]), of("other", &[1.0; 4])];
        let comparison = Comparison::new(models.clone()).unwrap().with_families(["small"]).unwrap();
        let figures = comparison.figures();
        let Panel::Lines(lines) = &figures[0].panels[0] else { panic!("a panel of lines") };
        let names: Vec<_> = lines.left.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["small (mean of 2)", "other"]);
        let first = &lines.left.series[0].points[0];
        assert_eq!((first.y, first.sem), (2.0, Some(1.0)));
        let refused =
            |family: &str| Comparison::new(models.clone()).unwrap().with_families([family]).unwrap_err().to_string();
        assert!(refused("Large").contains("\"Large\"") && refused("Large").contains("small-b"), "{}", refused("Large"));
        assert!(refused("").contains("\"\""), "{}", refused(""));
    }

    #[test]
    fn checkpoints_have_maps() {
        let models = || [profile(2, &[("delete_kl", &[1.0, 10.0])]), profile(2, &[("delete_kl", &[0.1, 0.0])])];
        let comparison = Comparison::new(models()).unwrap().with_checkpoints(["0 %", "100 %"]).unwrap();
        let figures = comparison.figures();
        let Panel::Heat(heat) = &figures[0].panels[0] else { panic!("a map") };
        assert_eq!((heat.matrix.values[0].clone(), heat.matrix.values[1][0]), (vec![0.0, 1.0], -1.0));
        assert!(!heat.signed && heat.matrix.values[1][1].is_nan() && comparison.to_string().contains("m at 100 %"));
        let error = |labels: &[&str]| Comparison::new(models()).unwrap().with_checkpoints(labels.to_vec()).unwrap_err();
        assert!(error(&["0 %"]).to_string().contains("1 label for 2 profiles"));
        let other =
            Comparison::new([profile(2, &[]), profile(3, &[])]).unwrap().with_checkpoints(["a", "b"]).unwrap_err();
        assert!(other.to_string().contains("2, 3"), "{other}");
    }

    #[test]
    fn different_precisions_are_said() {
        let full = profile(2, &[("delete_kl", &[1.0, 2.0])]);
        assert_eq!(Comparison::new([full.clone(), full.clone()]).unwrap().precision_note(), None);
        let mut half = full.clone();
        half.model.precision = "bf16".to_owned();
        let comparison = Comparison::new([full, half]).unwrap();
        let note = comparison.precision_note().unwrap();
        assert!(note.contains("different precisions (bf16, f32)"), "{note}");
        let page = comparison.to_string();
        assert!(page.contains(&note) && page.contains("<td>bf16</td>") && page.contains("<td>f32</td>"));
    }

    #[test]
    fn a_file_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let comparison = Comparison::new([profile(2, &[("delete_kl", &[1.0, 2.0])])]).unwrap();
        let files = comparison.write(dir.path().join("new")).unwrap();
        let [path, figure] = &files[..] else { panic!("{files:?}") };
        assert!(path.ends_with("compare.html") && figure.ends_with("figures/compared-damage.svg"));
        assert!(fs::read_to_string(figure).unwrap().starts_with("<svg"));
        assert!(comparison.write(dir.path().join("new")).is_err());
        assert!(matches!(Comparison::new([]), Err(ReportError::NothingToCompare)));
        assert!(matches!(Comparison::read([&path]), Err(ReportError::Profile(_))));
    }
}
