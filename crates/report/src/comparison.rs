//! Several models on one page over relative depth: [`Comparison`].

use std::fmt::{self, Display, Write};
use std::path::{Path, PathBuf};

use stratigraph_stages::Profile;

use crate::figure::{Figure, Horizontal, Lines, Panel, Point, Scale, Series, Side};
use crate::text::{Escaped, NOTHING};
use crate::view::Stages;
use crate::{ReportError, Result, page};

/// Profiles side by side: the stages of each model as a bar, and every signal with a curve for each model.
///
/// Depth is relative: 0 before the first layer, 1 after the last. The place before layer `l` of `L` lies at `l / L`, as
/// the stages' boundaries do, and the layer itself in the middle of its stretch, at `(l + 1/2) / L`.
#[derive(Debug, Clone)]
pub struct Comparison {
    models: Vec<Model>,
}

#[derive(Debug, Clone)]
struct Model {
    name: String,
    profile: Profile,
    stages: Stages,
}

/// A panel: heading, vertical axis and how it runs, and the curve.
type Signal = (&'static str, &'static str, Scale, &'static str);

const DAMAGE: &[Signal] = &[
    ("Deleting a layer", "KL, nats", Scale::Log, "delete_kl"),
    ("Swapping a layer with the next", "KL, nats", Scale::Log, "swap_kl"),
    ("Deleting: the same first choice", "top-1 agreement", Scale::Share, "delete_top1_agreement"),
    ("Swapping: the same first choice", "top-1 agreement", Scale::Share, "swap_top1_agreement"),
];
const LENS: &[Signal] = &[
    ("Logit lens: KL from the model", "KL, nats", Scale::Log, "lens_kl"),
    ("Logit lens: uncertainty", "entropy, bits", Scale::Linear, "lens_entropy_bits"),
    ("Logit lens: the same first choice", "top-1 agreement", Scale::Share, "lens_top1_agreement"),
    ("Word in context", "accuracy", Scale::Fitted, "wic_accuracy"),
];
const INSIDE: &[Signal] = &[
    ("Attention to the last five tokens", "fraction", Scale::Share, "prev5_attention_mass"),
    ("Attention to the first token", "fraction", Scale::Share, "first_token_attention"),
    ("Prediction neurons", "neurons", Scale::Linear, "prediction_neurons"),
    ("Suppression neurons", "neurons", Scale::Linear, "suppression_neurons"),
    ("MLP output norm", "mean norm", Scale::Log, "mlp_out_norm"),
    ("Block influence", "1 - cosine", Scale::Log, "block_influence"),
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
            models.push(Model { name, stages: crate::view::of(&profile), profile });
        }
        if models.is_empty() { Err(ReportError::NothingToCompare) } else { Ok(Self { models }) }
    }

    /// The comparison of these `profile.json` files.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub fn read(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let profiles: Result<Vec<_>> = paths.into_iter().map(crate::read_profile).collect();
        Self::new(profiles?)
    }

    /// Writes the page to `compare.html` in a directory, which is made where it is absent; returns the file's path.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<PathBuf> {
        crate::files::write_new(directory.as_ref().join("compare.html"), self.to_string().as_bytes())
    }

    /// The stages of each model for a terminal, a line of one width each.
    pub fn chart(&self) -> String {
        let all = self.models.iter().map(|model| (model.name.as_str(), model.profile.model.n_layers, &model.stages));
        crate::terminal::lines(all)
    }

    /// The figures: what surgery does, what the lens reads, and what is inside, each with a curve for each model.
    pub fn figures(&self) -> Vec<Figure> {
        let wanted = [
            ("damage", "Deleting and swapping layers", "What surgery does to each model.", DAMAGE),
            ("lens", "What the residual stream holds", "What is read from it on the way through each model.", LENS),
            ("inside", "Inside the unchanged models", "Attention, neurons and norms of each model.", INSIDE),
        ];
        let figure = |(name, title, caption, signals): (&str, &str, &str, &[Signal])| Figure {
            name: name.to_owned(),
            title: title.to_owned(),
            caption: format!("{caption} Depth is relative: 0 is before the first layer, 1 after the last."),
            source: self.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", "),
            panels: signals.iter().filter_map(|signal| self.panel(signal)).collect(),
            bands: Vec::new(),
        };
        wanted.into_iter().map(figure).filter(|figure| !figure.panels.is_empty()).collect()
    }

    fn panel(&self, &(title, label, scale, curve): &Signal) -> Option<Panel> {
        let series = self.models.iter().filter_map(|model| model.series(curve)).collect::<Vec<_>>();
        let any = !series.is_empty();
        let left = Side { label: label.to_owned(), scale, series, references: Vec::new() };
        let (title, x) = (title.to_owned(), Horizontal::relative_depth());
        any.then_some(Panel::Lines(Lines { title, x, left, right: None }))
    }
}

impl Model {
    /// A curve over relative depth; `None` where it has no number.
    fn series(&self, curve: &str) -> Option<Series> {
        let n_layers = self.profile.model.n_layers.max(1);
        let Series { name, points } =
            crate::figure::series(&self.name, self.profile.curves.get(curve)?, self.profile.model.n_layers);
        let relative = |point: Point| Point {
            x: (point.x + 0.5) / n_layers as f64,
            at: format!("{} of {n_layers}", point.at),
            ..point
        };
        let points: Vec<_> = points.into_iter().map(relative).collect();
        points.iter().any(|point| point.y.is_finite()).then_some(Series { name, points })
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
            |index| self.models.iter().flat_map(|model| model.stages.bands()).find(move |band| band.colour == index);
        page::key(f, &(0..crate::figure::STAGES.len()).filter_map(named).collect::<Vec<_>>())?;
        for Model { name, profile, stages } in &self.models {
            writeln!(f, "<h3>{} <small>{} layers</small></h3>", Escaped(name), profile.model.n_layers)?;
            let verdict = if stages.verdict.is_empty() { "no stages in this profile" } else { &stages.verdict };
            writeln!(f, "<p class=\"soft\">{}</p>", Escaped(verdict))?;
            page::bar(f, stages, profile.model.n_layers)?;
        }
        f.write_str("</section>\n")
    }

    /// What each profile is of.
    fn table(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("<section id=\"models\">\n<h2>What was measured</h2>\n")?;
        let columns =
            ["layers", "width", "corpus", "windows", "tokens in each", "device", "versions", "stages begin at"];
        page::open_table(f, "Models and corpora", "model", columns.into_iter())?;
        for Model { name, profile, stages } in &self.models {
            let (model, corpus) = (&profile.model, &profile.corpus);
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            write!(f, "<td>{}</td><td>{}</td><td>{}</td>", model.n_layers, model.d_model, Escaped(&corpus.name))?;
            let versions = profile.versions.iter().map(|(name, version)| format!("{name} {version}"));
            let starts = stages.stages.iter().map(|stage| format!("{} {}", stage.name, stage.layers.start));
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
        let long = profile(4, &[("swap_kl", &[1.0, 2.0, 3.0]), ("lens_kl", &[])]);
        let comparison = Comparison::new([short, long]).unwrap();
        let series: Vec<_> = comparison.figures().into_iter().flat_map(|figure| figure.panels).collect();
        let xs = |panel: &Panel| match panel {
            Panel::Lines(lines) => lines.left.series[0].points.iter().map(|point| point.x).collect::<Vec<_>>(),
            Panel::Heat(_) => Vec::new(),
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
        assert!(matches!(Comparison::read([&path]), Err(ReportError::NotAProfile { .. })));
    }
}
