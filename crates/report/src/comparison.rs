//! Several models on one page over relative depth: [`Comparison`].

use std::fmt::{self, Display, Write};
use std::path::{Path, PathBuf};

use stratigraph_profile::{Profile, catalogue};

use crate::figure::{Figure, Horizontal, Lines, Panel, Point, Series, Side};
use crate::text::{Escaped, NOTHING};
use crate::view::bands;
use crate::{ReportError, Result, page};

/// Profiles side by side: the stages of each model as a bar, and every signal with a curve for each model.
///
/// Depth is relative: 0 before the first layer, 1 after the last. The residual position before layer `l` of `L` lies at `l / L`,
/// as the boundaries of stages do, and the layer itself in the middle of its stretch, at `(l + 1/2) / L`.
#[derive(Debug, Clone)]
pub struct Comparison {
    models: Vec<Model>,
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
        if models.is_empty() { Err(ReportError::NothingToCompare) } else { Ok(Self { models }) }
    }

    /// The comparison of these `profile.json` files.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub fn read(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let profiles: std::result::Result<Vec<_>, _> = paths.into_iter().map(Profile::read).collect();
        Self::new(profiles?)
    }

    /// Writes the page to `compare.html` in a directory, which is made where it is absent; returns the file's path.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<PathBuf> {
        crate::out_dir::write_new(directory.as_ref().join("compare.html"), self.to_string().as_bytes())
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
        let source = self.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let figure = |(name, title, caption, curves): (&str, &str, &str, &[&str])| Figure {
            panels: curves.iter().filter_map(|curve| self.panel(curve)).collect(),
            ..Figure::new(name, title)
                .with_caption(format!("{caption} Depth is relative: 0 is before the first layer, 1 after the last."))
                .with_source(&source)
        };
        wanted.into_iter().map(figure).filter(|figure| !figure.panels.is_empty()).collect()
    }

    fn panel(&self, curve: &str) -> Option<Panel> {
        let entry = catalogue::find(curve)?;
        let mut left = Side::new(entry.axis_label(), entry.scale);
        left.series = self.models.iter().filter_map(|model| model.series(curve)).collect();
        let panel = Panel::Lines(Lines::new(entry.title, Horizontal::relative_depth(), left));
        matches!(&panel, Panel::Lines(lines) if !lines.left.series.is_empty()).then_some(panel)
    }
}

impl Model {
    /// A curve over relative depth; `None` where it has no number or does not run over depth.
    fn series(&self, curve: &str) -> Option<Series> {
        let n_layers = self.profile.model.n_layers.max(1);
        let curve = self.profile.curves.get(curve).filter(|curve| curve.axis.n_layers().is_some())?;
        let Series { name, points } = Series::from_curve(&self.name, curve);
        let relative = |point: Point| {
            let at = format!("{} of {n_layers}", point.at);
            Point::new((point.x + 0.5) / n_layers as f64, at, point.y).with_sem(point.sem)
        };
        Some(Series::new(name, points.into_iter().map(relative).collect())).filter(Series::has_numbers)
    }
}

impl Display for Comparison {
    /// The page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        page::open(f, "Stages of inference, compared")?;
        f.write_str("<header>\n<p class=\"kicker\">Stages of inference</p>\n<h1>")?;
        writeln!(f, "{} models over relative depth</h1>\n</header>\n<main>", self.models.len())?;
        self.stages(f)?;
        self.figures().iter().try_for_each(|figure| page::draw(f, figure))?;
        self.table(f)?;
        f.write_str("</main>\n")?;
        page::close(f)
    }
}

impl Comparison {
    /// The stages of each model as a bar, all of one width.
    fn stages(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("<section id=\"stages\">\n<h2>The stages side by side</h2>\n")?;
        let named =
            |index| self.models.iter().flat_map(|model| bands(&model.profile)).find(move |band| band.colour == index);
        page::key(f, &(0..crate::figure::STAGES.len()).filter_map(named).collect::<Vec<_>>())?;
        for Model { name, profile } in &self.models {
            let (n_layers, stages) = (profile.model.n_layers, profile.stages.as_ref());
            writeln!(f, "<h3>{} <small>{n_layers} layers</small></h3>", Escaped(name))?;
            let summary = stages.map_or("The profile has no stages.".to_owned(), |found| found.summary());
            writeln!(f, "<p class=\"soft\">{}</p>", Escaped(&summary))?;
            page::bar(f, stages, n_layers)?;
        }
        f.write_str("</section>\n")
    }

    /// The model and corpus of each profile.
    fn table(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("<section id=\"models\">\n<h2>What was measured</h2>\n")?;
        let columns =
            ["layers", "width", "corpus", "windows", "tokens in each", "device", "versions", "stages begin at"];
        page::open_table(f, "Models and corpora", "model", columns.into_iter())?;
        for Model { name, profile } in &self.models {
            let (model, corpus) = (&profile.model, &profile.corpus);
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            write!(f, "<td>{}</td><td>{}</td><td>{}</td>", model.n_layers, model.d_model, Escaped(&corpus.name))?;
            let versions = profile.versions.iter().map(|(name, version)| format!("{name} {version}"));
            let spans = profile.stages.iter().flat_map(|found| &found.stages);
            let starts = spans.map(|span| format!("{} {}", span.stage, span.first));
            let [versions, starts] = [versions.collect::<Vec<_>>(), starts.collect()].map(|words| words.join(", "));
            let starts = if starts.is_empty() { NOTHING } else { &starts };
            write!(
                f,
                "<td>{}</td><td>{}</td><td>{}</td>",
                corpus.n_sequences,
                corpus.seq_len,
                Escaped(&profile.device)
            )?;
            writeln!(f, "<td>{}</td><td>{}</td></tr>", Escaped(&versions), Escaped(starts))?;
        }
        page::close_table(f)?;
        f.write_str("</section>\n")
    }
}

#[cfg(test)]
mod tests {
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
    fn a_file_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let comparison = Comparison::new([profile(1, &[])]).unwrap();
        let path = comparison.write(dir.path().join("new")).unwrap();
        assert!(path.ends_with("compare.html") && comparison.write(dir.path().join("new")).is_err());
        assert!(matches!(Comparison::new([]), Err(ReportError::NothingToCompare)));
        assert!(matches!(Comparison::read([&path]), Err(ReportError::Profile(_))));
    }
}
