//! The stages on a page: a bar of depth with the change points under it, and a card for each stage with its evidence.

use std::fmt::{self, Write};

use crate::text::Escaped;
use crate::view::{StageView, Stages};

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
    list(f, "Layers that stand out of their stage", &stages.outliers)?;
    list(f, "Where curves change, whatever the stages are", &stages.changes)?;
    f.write_str("</section>\n")
}

/// All layers in a row, in the colours of their stages; under it the intervals in which stages begin, and the changes.
pub(crate) fn bar(f: &mut impl Write, stages: &Stages, n_layers: usize) -> fmt::Result {
    let n = n_layers.max(1) as f64;
    let percent = |at: f64| (at / n * 100.0).clamp(0.0, 100.0);
    if !stages.stages.is_empty() {
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
    for (low, high) in stages.stages.iter().filter_map(|stage| stage.start_interval) {
        if low.is_finite() && high > low {
            let (left, width) = (percent(low), percent(high) - percent(low));
            write!(f, "<b style=\"left:{left:.2}%;width:{width:.2}%\" title=\"begins here on resampling\"></b>")?;
        }
    }
    for (layer, told) in &stages.changes {
        write!(f, "<i style=\"left:{:.2}%\" title=\"{}\"></i>", percent(*layer as f64), Escaped(told))?;
    }
    let last = n_layers.saturating_sub(1);
    writeln!(f, "</div>\n<div class=\"scale\"><span>layer 0</span><span>layer {last}</span></div>")
}

fn card(f: &mut impl Write, stage: &StageView) -> fmt::Result {
    let (colour, name, span) = (stage.index % 4, Escaped(&stage.name), stage.span());
    writeln!(f, "<article class=\"t{colour}\"><h3>{name}</h3>")?;
    let doubt = stage.doubt().map(|doubt| format!("; {doubt}")).unwrap_or_default();
    writeln!(f, "<p class=\"soft\">{span}{}</p>", Escaped(&doubt))?;
    if !stage.evidence.is_empty() {
        f.write_str("<table class=\"evidence\"><tbody>\n")?;
        for line in &stage.evidence {
            let class = line.speaks_for.map_or("soft", |speaks_for| if speaks_for { "for" } else { "against" });
            let (signal, text, verdict) = (Escaped(&line.signal), Escaped(&line.text), line.verdict());
            writeln!(f, "<tr><th scope=\"row\">{signal}</th><td class=\"{class}\">{verdict}</td><td>{text}</td></tr>")?;
        }
        f.write_str("</tbody></table>\n")?;
    }
    f.write_str("</article>\n")
}

fn list(f: &mut impl Write, title: &str, layers: &[(usize, String)]) -> fmt::Result {
    if layers.is_empty() {
        return Ok(());
    }
    write!(f, "<h3>{title}</h3>\n<ul class=\"findings\">\n")?;
    for (layer, told) in layers {
        writeln!(f, "<li><b>{layer}</b> <span class=\"soft\">{}</span></li>", Escaped(told))?;
    }
    f.write_str("</ul>\n")
}
