//! The page of a [`Comparison`].

use std::fmt::{self, Display, Write};

use super::{Comparison, Model};
use crate::page;
use crate::text::{Escaped, NOTHING};
use crate::view::bands;

/// What bands of the page are.
const BANDS: &str = "Bands are one standard error of the mean: of a model over its documents or windows (of Word-in-Context over words), \
                     of the mean of a family over its models.";

impl Display for Comparison {
    /// The page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        page::open(f, "Stages of inference, compared")?;
        f.write_str("<header>\n<p class=\"kicker\">Stages of inference</p>\n<h1>")?;
        writeln!(f, "{} models over relative depth</h1>\n</header>\n<main>", self.models.len())?;
        self.stages(f)?;
        self.alignment_table(f)?;
        self.figures().iter().try_for_each(|figure| page::draw(f, figure))?;
        self.table(f)?;
        f.write_str("</main>\n")?;
        page::close(f, BANDS)
    }
}

impl Comparison {
    /// The stages of each model as a bar, all of one width.
    fn stages(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("<section id=\"stages\">\n<h2>The stages side by side</h2>\n")?;
        let named =
            |index| self.models.iter().flat_map(|model| bands(&model.profile)).find(move |band| band.colour == index);
        let found: Vec<_> = (0..crate::figure::STAGES.len()).filter_map(named).collect();
        page::key(f, &found)?;
        if !found.is_empty() {
            writeln!(f, "<p class=\"soft\">{}</p>", page::BAR)?;
        }
        for Model { name, profile } in &self.models {
            let (n_layers, stages) = (profile.model.n_layers, profile.stages.as_ref());
            writeln!(f, "<h3>{} <small>{n_layers} layers</small></h3>", Escaped(name))?;
            let summary = stages.map_or("The profile has no stages.".to_owned(), |found| found.summary());
            writeln!(f, "<p class=\"soft\">{}</p>", Escaped(&summary))?;
            page::bar(f, stages, n_layers)?;
        }
        f.write_str("</section>\n")
    }

    /// How similar the curves are.
    fn alignment_table(&self, f: &mut impl Write) -> fmt::Result {
        let found = self.alignment();
        if found.is_empty() {
            return Ok(());
        }
        f.write_str("<section id=\"alignment\">\n<h2>Are the curves alike?</h2>\n<p class=\"soft\">")?;
        f.write_str("The similarity is the mean rank correlation of all pairs of models over relative depth. The p-value is the ")?;
        f.write_str(
            "fraction of turns of each model's curves around its depth that are as similar as the true position.</p>\n",
        )?;
        page::open_table(f, "Alignment", "curve", ["models", "similarity", "p-value"].into_iter())?;
        for it in found {
            let (title, models) = (it.title(), it.n_models);
            write!(f, "<tr><th scope=\"row\">{}</th><td>{models}</td>", Escaped(&title))?;
            writeln!(f, "<td>{:.2}</td><td>{:.3}</td></tr>", it.similarity, it.p_value)?;
        }
        page::close_table(f)?;
        f.write_str("</section>\n")
    }

    /// The model and corpus of each profile.
    fn table(&self, f: &mut impl Write) -> fmt::Result {
        f.write_str("<section id=\"models\">\n<h2>What was measured</h2>\n")?;
        if let Some(note) = self.precision_note() {
            writeln!(f, "<p class=\"soft\">{}</p>", Escaped(&note))?;
        }
        let columns = [
            "layers",
            "width",
            "corpus",
            "windows",
            "tokens in each",
            "device",
            "precision",
            "versions",
            "stages begin at",
        ];
        page::open_table(f, "Models and corpora", "model", columns.into_iter())?;
        for Model { name, profile } in &self.models {
            let (model, corpus) = (&profile.model, &profile.corpus);
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            write!(f, "<td>{}</td><td>{}</td><td>{}</td>", model.n_layers, model.d_model, Escaped(&corpus.name))?;
            let spans = profile.stages.iter().flat_map(|found| &found.stages);
            let starts = spans.map(|span| format!("{} {}", span.stage, span.first));
            let starts = starts.collect::<Vec<_>>().join(", ");
            let versions = page::facts::versions(&profile.versions);
            let starts = if starts.is_empty() { NOTHING } else { &starts };
            let (device, precision) = (Escaped(&profile.device), Escaped(&model.precision));
            write!(f, "<td>{}</td><td>{}</td>", corpus.n_sequences, corpus.seq_len)?;
            write!(f, "<td>{device}</td><td>{precision}</td>")?;
            writeln!(f, "<td>{}</td><td>{}</td></tr>", Escaped(&versions), Escaped(starts))?;
        }
        page::close_table(f)?;
        f.write_str("</section>\n")
    }
}
