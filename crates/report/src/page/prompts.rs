//! Links from a report to pages of single prompts: [`PromptLink`].

use std::fmt::{self, Write};

use crate::text::Escaped;

/// A link to the page of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptLink {
    /// The file, from the directory of the report: `prompts/window-3.html`.
    pub href: String,
    /// What the prompt is called.
    pub name: String,
    /// Why it is worth a look.
    pub remark: String,
}

impl PromptLink {
    /// A link to a file, with the name of the prompt and why it is worth a look.
    pub fn new(href: impl Into<String>, name: impl Into<String>, remark: impl Into<String>) -> Self {
        Self { href: href.into(), name: name.into(), remark: remark.into() }
    }
}

pub(super) fn section(f: &mut impl Write, prompts: &[PromptLink]) -> fmt::Result {
    if prompts.is_empty() {
        return Ok(());
    }
    f.write_str("<section id=\"prompts\">\n<h2>Single windows, layer by layer</h2>\n<ul class=\"findings\">\n")?;
    for PromptLink { href, name, remark } in prompts {
        let [href, name, remark] = [href, name, remark].map(|text| Escaped(text));
        writeln!(f, "<li><a href=\"{href}\">{name}</a>: {remark}</li>")?;
    }
    f.write_str("</ul>\n</section>\n")
}
