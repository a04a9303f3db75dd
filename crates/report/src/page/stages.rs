//! The stages on a page: a bar of depth with the change points under it, and a card for each stage with its evidence.

use std::fmt::{self, Write};

use stratigraph_profile::{Boundary, Evidence, Segmentation, Shape, StageSpan, Support};

use crate::figure::STAGES;
use crate::text::Escaped;
use crate::view::gradient;

/// What a bar shows.
pub(crate) const BAR: &str = "A solid edge in a bar is a sharp boundary, a gradient a gradual one, a dotted edge one that is neither \
    clearly. The dark line under the bar is the 95 % interval of where a stage begins, the light one where other rules put it, a \
    short mark a layer at which all curves together change.";
/// What the cards show.
const CARDS: &str = "Each stage lists its evidence: <b>for</b> it, <b>against</b> it or <b>unclear</b>, with the strength from -1 to \
    +1.";

pub(super) fn section(f: &mut impl Write, found: &Segmentation) -> fmt::Result {
    f.write_str("<section id=\"stages\">\n<h2>Stages of inference</h2>\n")?;
    bar(f, Some(found), found.n_layers)?;
    if !found.stages.is_empty() {
        write!(f, "<p class=\"soft\">{BAR} {CARDS}</p>\n<div class=\"stages\">\n")?;
        found.stages.iter().try_for_each(|span| card(f, found, span))?;
        f.write_str("</div>\n")?;
    }
    let verdicts = found.verdicts();
    if !verdicts.is_empty() {
        list(f, "Boundaries", &verdicts)?;
    }
    found.remarks().iter().try_for_each(|it| list(f, it.heading, &it.findings))?;
    f.write_str("</section>\n")
}

/// All layers in a row, in the colours of their stages; under it the bands in which stages begin, and the changes.
pub(crate) fn bar(f: &mut impl Write, found: Option<&Segmentation>, n_layers: usize) -> fmt::Result {
    let n = n_layers.max(1) as f64;
    let percent = |at: f64| (at / n * 100.0).clamp(0.0, 100.0);
    let stages = found.map_or(&[][..], |found| &found.stages);
    match found.filter(|found| !found.stages.is_empty()) {
        None => {
            f.write_str("<div class=\"depth\"><div class=\"plain\" style=\"flex:1\"><b>no stages</b></div></div>\n")?
        }
        Some(found) => {
            let words = stages.iter().map(|span| format!("{}: {}", span.stage, span.layers())).collect::<Vec<_>>();
            let (colours, words) = (colours(found, percent), words.join("; "));
            write!(f, "<div class=\"depth\" role=\"img\" style=\"background:linear-gradient(to right,{colours})\" ")?;
            write!(f, "aria-label=\"{}\">", Escaped(&words))?;
            stages.iter().try_for_each(|span| piece(f, found, span))?;
            f.write_str("</div>\n")?;
        }
    }
    f.write_str("<div class=\"ticks\" aria-hidden=\"true\">")?;
    for start in stages.iter().filter_map(|span| found?.start(span)) {
        let places =
            [("b", start.interval.map(|it| (it.low, it.high))), ("u", start.rules.map(|it| (it.low, it.high)))];
        for (tag, (low, high)) in places.into_iter().filter_map(|(tag, places)| Some((tag, places?))) {
            let (left, text) = (percent(low as f64), start.in_words(n_layers));
            let (width, text) = (percent(high as f64) - left, Escaped(&text));
            write!(f, "<{tag} style=\"left:{left:.2}%;width:{width:.2}%\" title=\"{text}\"></{tag}>")?;
        }
    }
    for layer in found.iter().flat_map(|found| &found.change_points) {
        let left = percent(*layer as f64);
        write!(f, "<i style=\"left:{left:.2}%\" title=\"the curves change at layer {layer}\"></i>")?;
    }
    let last = n_layers.saturating_sub(1);
    writeln!(f, "</div>\n<div class=\"scale\"><span>layer 0</span><span>layer {last}</span></div>")
}

/// The stops of a gradient over depth: each stage in its colour, with an edge or a gradient to the next.
fn colours(found: &Segmentation, percent: impl Fn(f64) -> f64) -> String {
    let gradual = |span: &StageSpan| {
        let it = found.start(span)?.transition.filter(|it| it.shape == Shape::Gradual)?;
        // Layer 0 begins at 0 here, and at -0.5 in figures.
        Some(gradient(found, span, it.span()).map(|at| at + 0.5))
    };
    let stops = found.stages.iter().enumerate().map(|(index, span)| {
        let start = gradual(span).map_or(span.first as f64, |[_, to]| to);
        let end = found.stages.get(index + 1).and_then(gradual).map_or(span.end as f64, |[from, _]| from);
        format!("{} {:.2}% {:.2}%", STAGES[span.stage as usize], percent(start), percent(end.max(start)))
    });
    stops.collect::<Vec<_>>().join(",")
}

/// A stage in the bar, with a dotted edge where it is open whether it begins sharply or gradually.
fn piece(f: &mut impl Write, found: &Segmentation, span: &StageSpan) -> fmt::Result {
    let is_open = |it: &Boundary| it.transition.is_none_or(|it| it.shape == Shape::Unresolved);
    let class = if found.start(span).is_some_and(is_open) { " class=\"open\"" } else { "" };
    let width = span.end.saturating_sub(span.first);
    let (text, letter) = (format!("{}: {}", span.stage, span.layers()), span.stage.letter());
    let text = Escaped(&text);
    write!(f, "<div{class} style=\"flex:{width} 0 0\" title=\"{text}\"><span>{letter}</span></div>")
}

fn card(f: &mut impl Write, found: &Segmentation, span: &StageSpan) -> fmt::Result {
    let (colour, name, layers) = (span.stage as usize, span.stage, span.layers());
    writeln!(f, "<article class=\"t{colour}\"><h3>{name}</h3>")?;
    if !span.headline.is_empty() {
        writeln!(f, "<p class=\"headline\">{}</p>", Escaped(&span.headline))?;
    }
    let begins = found.start(span).map(|it| format!("; {}", it.in_words(found.n_layers))).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use stratigraph_profile::Transition;

    use super::*;
    use crate::testing::segmentation;

    #[test]
    fn a_boundary_is_drawn_by_its_shape() {
        let drawn = |shape: Option<Shape>| {
            let mut found = segmentation(6);
            let (centre, width) = (1.0, 0.0);
            let (width_low, width_high, step_loss, jump_p_value) = (0.0, 6.0, 0.0, 0.5);
            let fitted = |shape| Transition { shape, centre, width, width_low, width_high, step_loss, jump_p_value };
            found.boundaries[0].transition = shape.map(fitted);
            let mut html = String::new();
            bar(&mut html, Some(&found), 6).unwrap();
            let has_edge = html.contains("#56b4e9 0.00% 16.67%,#cc79a7 16.67% 100.00%");
            let has_gradient = html.contains("#56b4e9 0.00% 12.50%,#cc79a7 20.83% 100.00%");
            (has_edge, has_gradient, html.matches("<div class=\"open\"").count())
        };
        assert_eq!(drawn(Some(Shape::Sharp)), (true, false, 0));
        assert_eq!(drawn(Some(Shape::Gradual)), (false, true, 0), "a short gradient where there is no room");
        for open in [Some(Shape::Unresolved), None] {
            assert_eq!(drawn(open), (true, false, 1), "{open:?}");
        }
    }
}
