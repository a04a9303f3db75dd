//! The stages on a page: a bar of depth with the change points under it, and a card for each stage with its evidence.

use std::fmt::{self, Write};

use stratigraph_profile::{Evidence, Segmentation, StageSpan, Support};

use crate::text::Escaped;

pub(super) fn section(f: &mut impl Write, found: &Segmentation) -> fmt::Result {
    f.write_str("<section id=\"stages\">\n<h2>Stages of inference</h2>\n")?;
    bar(f, Some(found), found.n_layers)?;
    if !found.stages.is_empty() {
        f.write_str(
            "<p class=\"soft\">Each stage lists its evidence: <b>for</b> it, <b>against</b> it or <b>unclear</b>, ",
        )?;
        f.write_str(
            "with the strength from -1 to +1. A line under the bar is the 95 % interval of where a stage begins, ",
        )?;
        f.write_str("a short mark a layer at which all curves together change.</p>\n<div class=\"stages\">\n")?;
        found.stages.iter().try_for_each(|span| card(f, found, span))?;
        f.write_str("</div>\n")?;
    }
    found.remarks().iter().try_for_each(|it| list(f, it.heading, &it.findings))?;
    f.write_str("</section>\n")
}

/// All layers in a row, in the colours of their stages; under it the intervals in which stages begin, and the changes.
pub(crate) fn bar(f: &mut impl Write, found: Option<&Segmentation>, n_layers: usize) -> fmt::Result {
    let n = n_layers.max(1) as f64;
    let percent = |at: usize| (at as f64 / n * 100.0).clamp(0.0, 100.0);
    let stages = found.map_or(&[][..], |found| &found.stages);
    if stages.is_empty() {
        f.write_str("<div class=\"depth\"><div class=\"plain\" style=\"flex:1\"><b>no stages</b></div></div>\n")?;
    } else {
        f.write_str("<div class=\"depth\" role=\"img\" aria-label=\"")?;
        let words = stages.iter().map(|span| format!("{}: {}", span.stage, span.layers()));
        write!(f, "{}\">", Escaped(&words.collect::<Vec<_>>().join("; ")))?;
        stages.iter().try_for_each(|span| piece(f, span))?;
        f.write_str("</div>\n")?;
    }
    f.write_str("<div class=\"ticks\" aria-hidden=\"true\">")?;
    for (span, it) in stages.iter().filter_map(|span| Some((span, found?.start_interval(span)?))) {
        let (left, right, words) = (percent(it.low), percent(it.high), it.in_words(span.first));
        let (width, text) = (right - left, Escaped(&words));
        write!(f, "<b style=\"left:{left:.2}%;width:{width:.2}%\" title=\"{text}\"></b>")?;
    }
    for layer in found.iter().flat_map(|found| &found.change_points) {
        let left = percent(*layer);
        write!(f, "<i style=\"left:{left:.2}%\" title=\"the curves change at layer {layer}\"></i>")?;
    }
    let last = n_layers.saturating_sub(1);
    writeln!(f, "</div>\n<div class=\"scale\"><span>layer 0</span><span>layer {last}</span></div>")
}

/// A stage in the bar.
fn piece(f: &mut impl Write, span: &StageSpan) -> fmt::Result {
    let (colour, width) = (span.stage as usize, span.end.saturating_sub(span.first));
    let (text, letter) = (format!("{}: {}", span.stage, span.layers()), span.stage.letter());
    let text = Escaped(&text);
    write!(f, "<div class=\"c{colour}\" style=\"flex:{width} 0 0\" title=\"{text}\"><span>{letter}</span></div>")
}

fn card(f: &mut impl Write, found: &Segmentation, span: &StageSpan) -> fmt::Result {
    let (colour, name, layers) = (span.stage as usize, span.stage, span.layers());
    writeln!(f, "<article class=\"t{colour}\"><h3>{name}</h3>")?;
    let begins = found.start_interval(span).map(|it| format!("; {}", it.in_words(span.first))).unwrap_or_default();
    writeln!(f, "<p class=\"soft\">{layers}{}</p>", Escaped(&begins))?;
    evidence(f, &span.leading_evidence())?;
    let further = span.further_evidence();
    if !further.is_empty() {
        writeln!(f, "<details><summary>{} more for it</summary>", further.len())?;
        evidence(f, &further)?;
        f.write_str("</details>\n")?;
    }
    let unmeasured = span.unmeasured();
    if !unmeasured.is_empty() {
        writeln!(f, "<p class=\"soft\"><small>Not measured: {}</small></p>", breakable(&unmeasured.join(", ")))?;
    }
    f.write_str("</article>\n")
}

fn evidence(f: &mut impl Write, all: &[&Evidence]) -> fmt::Result {
    f.write_str("<table class=\"evidence\"><tbody>\n")?;
    for line in all {
        let class = match line.support {
            Support::For => "for",
            Support::Against => "against",
            _ => "soft",
        };
        write!(f, "<tr title=\"evidence of {}\">", Escaped(&line.kind))?;
        write!(f, "<th scope=\"row\">{}</th><td class=\"{class}\">{} ", breakable(&line.label()), line.support)?;
        writeln!(f, "{:+.2}</td><td>{}</td></tr>", line.strength, Escaped(&line.text))?;
    }
    f.write_str("</tbody></table>\n")
}

/// Names that may be broken at each underscore.
fn breakable(text: &str) -> String {
    Escaped(text).to_string().replace('_', "_<wbr>")
}

fn list(f: &mut impl Write, title: &str, remarks: &[String]) -> fmt::Result {
    write!(f, "<h3>{title}</h3>\n<ul class=\"findings\">\n")?;
    remarks.iter().try_for_each(|remark| writeln!(f, "<li>{}</li>", breakable(remark)))?;
    f.write_str("</ul>\n")
}
