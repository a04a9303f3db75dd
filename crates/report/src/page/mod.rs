//! A profile as one page that opens offline: [`Page`].

pub(crate) mod facts;
mod groups;
mod prompts;
mod stages;
mod summary;
mod tables;

use std::fmt::{self, Display, Write};

use stratigraph_profile::Profile;

use crate::Bands;
use crate::figure::{self, Alone, Band, Figure};
use crate::text::Escaped;

pub use prompts::PromptLink;
pub(crate) use stages::{BAR, bar};
pub(crate) use tables::{close_table, open_table};

/// A profile as one HTML page without a script, which loads nothing from outside: what was measured on what, the
/// stages with their evidence, every figure, and every number in tables. It follows the reader's light or dark setting,
/// works on a phone, and prints.
pub(crate) struct Page<'a> {
    profile: &'a Profile,
    figures: Vec<Figure>,
    prompts: &'a [PromptLink],
    bands: Bands,
}

impl<'a> Page<'a> {
    /// The page of a profile with these figures.
    pub(crate) fn new(profile: &'a Profile, figures: Vec<Figure>) -> Self {
        Self { profile, figures, prompts: &[], bands: Bands::default() }
    }

    /// With links to pages of prompts.
    pub(crate) fn with_prompts(self, prompts: &'a [PromptLink]) -> Self {
        Self { prompts, ..self }
    }

    /// With what the bands of its figures show.
    pub(crate) fn with_bands(self, bands: Bands) -> Self {
        Self { bands, ..self }
    }
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        open(f, &format!("{}: stages of inference", self.profile.model.name))?;
        self.header(f)?;
        f.write_str("<main>\n")?;
        summary::section(f, self.profile)?;
        if let Some(found) = &self.profile.stages {
            stages::section(f, found)?;
        }
        prompts::section(f, self.prompts)?;
        self.figures.iter().try_for_each(|figure| draw(f, figure))?;
        tables::section(f, self.profile)?;
        f.write_str("</main>\n")?;
        close(f, &self.bands.in_words(self.profile))
    }
}

impl Page<'_> {
    fn header(&self, f: &mut impl Write) -> fmt::Result {
        let Profile { model, corpus, .. } = self.profile;
        write!(f, "<header>\n<p class=\"kicker\">Stages of inference</p>\n<h1>{}</h1>\n", Escaped(&model.name))?;
        f.write_str("<dl class=\"facts\">\n")?;
        let tokens = corpus.n_sequences.saturating_mul(corpus.seq_len);
        let special = if corpus.special_tokens { "with" } else { "without" };
        fact(f, "model", &format!("{} layers, width {}, {} tokens", model.n_layers, model.d_model, model.d_vocab))?;
        fact(f, "corpus", &corpus.name)?;
        let windows =
            format!("{tokens} in {} windows of {}, {special} special tokens", corpus.n_sequences, corpus.seq_len);
        fact(f, "tokens", &windows)?;
        if let Some(drawn) = facts::drawn(corpus) {
            fact(f, "windows", &drawn)?;
        }
        if let Some(errors) = facts::errors(self.profile) {
            fact(f, "errors", &errors)?;
        }
        fact(f, "device", &self.profile.device)?;
        fact(f, "precision", &model.precision)?;
        fact(f, "versions", &facts::versions(&self.profile.versions))?;
        fact(f, "seed", &self.profile.seed.to_string())?;
        f.write_str("</dl>\n")?;
        command(f, &self.profile.command)?;
        f.write_str("<nav aria-label=\"contents\"><a href=\"#summary\">Summary</a>")?;
        if self.profile.stages.is_some() {
            f.write_str("<a href=\"#stages\">Stages</a>")?;
        }
        if !self.prompts.is_empty() {
            f.write_str("<a href=\"#prompts\">Single windows</a>")?;
        }
        for figure in &self.figures {
            write!(f, "<a href=\"#{}\">{}</a>", Escaped(&figure.name), Escaped(&figure.title))?;
        }
        f.write_str("<a href=\"#numbers\">All numbers</a></nav>\n</header>\n")
    }
}

/// The command that made the page, where one did.
pub(crate) fn command(f: &mut impl Write, words: &[String]) -> fmt::Result {
    if words.is_empty() {
        return Ok(());
    }
    let command = command_line(words);
    writeln!(f, "<pre aria-label=\"the command that made this page\"><code>{}</code></pre>", Escaped(&command))
}

pub(crate) fn fact(f: &mut impl Write, name: &str, value: &str) -> fmt::Result {
    let value = if value.is_empty() { crate::text::NOTHING } else { value };
    writeln!(f, "<div><dt>{name}</dt><dd>{}</dd></div>", Escaped(value))
}

/// The arguments, quoted for a shell.
fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+./,:@%".contains(c);
    let quoted = words.iter().map(|word| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Everything before the header. The policy forbids the browser to load anything from outside the page.
pub(crate) fn open(f: &mut impl Write, title: &str) -> fmt::Result {
    open_with(f, title, "", None)
}

/// The same with rules of a style sheet, and with the source of a policy that allows one script and no other.
pub(crate) fn open_with(f: &mut impl Write, title: &str, style: &str, script: Option<&str>) -> fmt::Result {
    let (title, page, figures) = (Escaped(title), include_str!("page.css"), figure::style());
    write!(f, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")?;
    f.write_str("<meta http-equiv=\"Content-Security-Policy\" content=\"")?;
    f.write_str("default-src 'none'; ")?;
    script.iter().try_for_each(|source| write!(f, "script-src {source}; "))?;
    f.write_str("style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n")?;
    f.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")?;
    f.write_str("<meta name=\"generator\" content=\"Stratigraph\">\n")?;
    write!(f, "<title>{title}</title>\n<style>\n{page}{figures}{style}\n</style>\n</head>\n<body>\n")
}

/// Ends a page with a sentence about its bands.
pub(crate) fn close(f: &mut impl Write, bands: &str) -> fmt::Result {
    write!(f, "<footer>Made by Stratigraph. {bands} ")?;
    f.write_str("Hover over a figure to read its numbers.</footer>\n</body>\n</html>\n")
}

/// A figure: its caption, and beside it each panel as a picture of its own, so that they can be stacked.
pub(crate) fn draw(f: &mut impl Write, figure: &Figure) -> fmt::Result {
    let [name, title, caption] = [&figure.name, &figure.title, &figure.caption].map(|text| Escaped(text));
    writeln!(f, "<section class=\"figure\" id=\"{name}\" aria-labelledby=\"{name}-title\">")?;
    write!(f, "<div><h2 id=\"{name}-title\">{title}</h2>\n<p>{caption}</p>\n")?;
    key(f, &figure.bands)?;
    f.write_str("</div>\n<div class=\"panels\">\n")?;
    figure.panels.iter().try_for_each(|panel| write!(f, "{}", Alone(panel, &figure.bands)))?;
    f.write_str("</div>\n</section>\n")
}

/// Names the colours of the stages.
pub(crate) fn key(f: &mut impl Write, bands: &[Band]) -> fmt::Result {
    if bands.is_empty() {
        return Ok(());
    }
    f.write_str("<p>")?;
    for band in bands {
        write!(f, "<span class=\"key\"><i class=\"c{}\"></i>{}</span> ", band.colour % 4, Escaped(&band.name))?;
    }
    f.write_str("</p>\n")
}

#[cfg(test)]
mod tests {
    use crate::Report;
    use crate::testing::{profile, segmentation};

    #[test]
    fn names_are_escaped_and_commands_quoted() {
        let mut profile = profile(2, &[("delete_kl", &[1.0, 2.0]), ("a <b> & \"c\"", &[0.5, 0.25])]);
        profile.model.name = "<script>alert('x')</script>".into();
        profile.corpus.name = "\"&quot; <i>".into();
        profile.command = ["study", "--text", "it's <here>", ""].map(String::from).into();
        profile.stages = Some(segmentation(2));
        let page = Report::new(&profile).page();
        assert!(!page.contains("<script") && !page.contains("<i>\"") && !page.contains("a <b>"), "{page}");
        assert!(page.contains("study --text &#39;it&#39;\\&#39;&#39;s &lt;here&gt;&#39; &#39;&#39;"), "{page}");
        assert!(page.contains("a &lt;b&gt; &amp; &quot;c&quot;"));
        assert_eq!(page.matches("it &lt;wavers&gt;").count(), 1, "{page}");
    }

    #[test]
    fn nothing_is_asked_of_the_outside() {
        let page = Report::new(&profile(2, &[("delete_kl", &[1.0, 2.0])])).page();
        for outside in ["http:", "https:", "src=", "url(", "@import", "<link", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn odd_profiles_have_pages_without_nan() {
        let empty: &[f64] = &[];
        for n_layers in [0, 1, 2, 96] {
            let (nothing, some) = (vec![f64::NAN; n_layers], vec![f64::INFINITY, 1.0, -1e300, 1e-300, 0.0]);
            for values in [&nothing[..], &some, empty, &[0.0], &vec![1e-9; n_layers + 1]] {
                let names =
                    ["delete_kl", "swap_kl", "lens_kl", "wic_accuracy", "repeat_3_nll", "repeat_x", "mlp_out_norm"];
                let mut profile = profile(n_layers, &names.map(|name| (name, values)));
                profile.values.insert("clean_nll".into(), stratigraph_profile::Estimate::exact(f64::NAN));
                profile.stages = Some(segmentation(n_layers));
                let page = Report::new(&profile).page();
                let found = ["NaN", "inf ", "inf<", ">inf", "-inf"].into_iter().find(|odd| page.contains(odd));
                assert_eq!(found, None, "{n_layers} layers, {values:?}");
            }
        }
    }
}
