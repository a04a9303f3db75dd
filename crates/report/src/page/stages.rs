//! The stages on a page: a bar of depth with the change points under it, and a card for each stage with its evidence.

use std::fmt::{self, Write};

use stratigraph_stages::{Evidence, Stand};

use crate::text::Escaped;
use crate::view::{StageView, Stages, Weighed};

pub(super) fn section(f: &mut impl Write, stages: &Stages, n_layers: usize) -> fmt::Result {
    if stages.verdict.is_empty() {
        return Ok(());
    }
    f.write_str("<section id=\"stages\">\n<h2>Stages of inference</h2>\n")?;
    bar(f, stages, n_layers)?;
    if !stages.stages.is_empty() {
        f.write_str("<div class=\"stages\">\n")?;
        stages.stages.iter().try_for_each(|stage| card(f, stage))?;
        f.write_str("</div>\n")?;
    }
    stages.remarks.iter().try_for_each(|(title, remarks)| list(f, title, remarks))?;
    if !stages.changes.is_empty() {
        let layers = stages.changes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        f.write_str("<h3>Change points of all curves together, without the rule</h3>\n<p class=\"soft\">")?;
        writeln!(f, "New segments begin at layers {layers}: the marks under the bar.</p>")?;
    }
    f.write_str("</section>\n")
}

/// All layers in a row, in the colours of their stages; under it the intervals in which stages begin, and the changes.
pub(crate) fn bar(f: &mut impl Write, stages: &Stages, n_layers: usize) -> fmt::Result {
    let n = n_layers.max(1) as f64;
    let percent = |at: f64| (at / n * 100.0).clamp(0.0, 100.0);
    if stages.stages.is_empty() {
        f.write_str("<div class=\"depth\"><div class=\"plain\" style=\"flex:1\"><b>no stages</b></div></div>\n")?;
    } else {
        f.write_str("<div class=\"depth\" role=\"img\" aria-label=\"")?;
        let words = stages.stages.iter().map(|stage| format!("{}: {}", stage.name, stage.span()));
        write!(f, "{}\">", Escaped(&words.collect::<Vec<_>>().join("; ")))?;
        for stage in &stages.stages {
            let (colour, told) = (stage.index % 4, format!("{}: {}", stage.name, stage.span()));
            let initial = stage.name.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            let (told, initial, width) = (Escaped(&told), Escaped(&initial), stage.layers.len());
            write!(
                f,
                "<div class=\"c{colour}\" style=\"flex:{width} 0 0\" title=\"{told}\"><span>{initial}</span></div>"
            )?;
        }
        f.write_str("</div>\n")?;
    }
    f.write_str("<div class=\"ticks\" aria-hidden=\"true\">")?;
    for (doubt, words) in stages.stages.iter().filter_map(|stage| stage.doubt.zip(stage.doubt())) {
        let (left, right) = (percent(doubt.low as f64), percent(doubt.high as f64));
        let (width, told) = (right - left, Escaped(&words));
        write!(f, "<b style=\"left:{left:.2}%;width:{width:.2}%\" title=\"{told}\"></b>")?;
    }
    for layer in &stages.changes {
        let left = percent(*layer as f64);
        write!(f, "<i style=\"left:{left:.2}%\" title=\"the curves change at layer {layer}\"></i>")?;
    }
    let last = n_layers.saturating_sub(1);
    writeln!(f, "</div>\n<div class=\"scale\"><span>layer 0</span><span>layer {last}</span></div>")
}

fn card(f: &mut impl Write, stage: &StageView) -> fmt::Result {
    let (colour, name, span) = (stage.index % 4, Escaped(&stage.name), stage.span());
    writeln!(f, "<article class=\"t{colour}\"><h3>{name}</h3>")?;
    let doubt = stage.doubt().map(|doubt| format!("; {doubt}")).unwrap_or_default();
    writeln!(f, "<p class=\"soft\">{span}{}</p>", Escaped(&doubt))?;
    let Weighed { main, rest, absent } = stage.weighed();
    evidence(f, &main)?;
    if !rest.is_empty() {
        writeln!(f, "<details><summary>{} more for it</summary>", rest.len())?;
        evidence(f, &rest)?;
        f.write_str("</details>\n")?;
    }
    if !absent.is_empty() {
        writeln!(f, "<p class=\"soft\"><small>Not measured: {}</small></p>", Escaped(&absent.join(", ")))?;
    }
    f.write_str("</article>\n")
}

fn evidence(f: &mut impl Write, all: &[&Evidence]) -> fmt::Result {
    f.write_str("<table class=\"evidence\"><tbody>\n")?;
    for line in all {
        let class = match line.stand {
            Stand::For => "for",
            Stand::Against => "against",
            Stand::Unclear | Stand::Absent => "soft",
        };
        let signal = Escaped(&line.signal).to_string().replace('_', "_<wbr>");
        write!(f, "<tr><th scope=\"row\">{signal}</th><td class=\"{class}\">{} ", line.stand)?;
        writeln!(f, "{:+.2}</td><td>{}</td></tr>", line.strength, Escaped(&line.text))?;
    }
    f.write_str("</tbody></table>\n")
}

fn list(f: &mut impl Write, title: &str, remarks: &[String]) -> fmt::Result {
    write!(f, "<h3>{title}</h3>\n<ul class=\"findings\">\n")?;
    remarks.iter().try_for_each(|remark| writeln!(f, "<li>{}</li>", Escaped(remark)))?;
    f.write_str("</ul>\n")
}
