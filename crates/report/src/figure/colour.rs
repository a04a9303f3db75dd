//! The colours: of curves, of stages and of numbers, and the style sheet that says so.

/// Six colours after Okabe and Ito's, which people with any colour vision can distinguish; some are darker on a light page and
/// lighter on a dark one.
const CURVES: [(&str, &str); 6] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9f4a"),
    ("#009e73", "#2bd4a0"),
    ("#a8447f", "#e79bc7"),
    ("#8a6d00", "#f0e442"),
    ("#555555", "#bbbbbb"),
];

/// The stages' colours, of the same set, in the order from the first layer to the last.
pub(crate) const STAGES: [&str; 4] = ["#56b4e9", "#009e73", "#e69f00", "#cc79a7"];

/// Dark blue to yellow, evenly bright steps that people with any colour vision see alike (the colour map cividis).
const SEQUENTIAL: [u32; 10] =
    [0x00224e, 0x123570, 0x3b496c, 0x575d6d, 0x707173, 0x8a8678, 0xa59c74, 0xc3b369, 0xe1cc55, 0xfee838];

/// Blue to white to red (ColorBrewer's RdBu).
const DIVERGING: [u32; 9] = [0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b];

/// The same hues with a middle that is little lighter than a dark page.
const DIVERGING_ON_DARK: [u32; 5] = [0x6cb0e6, 0x2a5f94, 0x1e2227, 0x9c3a2c, 0xf07a5c];

const STYLE: &str = ".paper{fill:#fff}svg text{font:12px system-ui,sans-serif;fill:#222}svg .title{font-size:13px;font-weight:600}\
    svg .small{fill:#555}svg .letter{font-size:10px;font-weight:700;fill:#111}\
    .grid{stroke:#ddd;fill:none}.axis{stroke:#888;fill:none}.none{fill:#8888;}.stage{opacity:.15}\
    .slice{shape-rendering:crispEdges}.step{stroke:#444;stroke-width:1.2;fill:none}\
    .interval{stroke:#222;stroke-width:1.5;fill:none}.rules{stroke:#999;stroke-width:1.5;fill:none}.edge{stroke:#888;stroke-dasharray:1 2;fill:none}\
    .reference{stroke:#555;stroke-width:1.5;fill:none}\
    .band{opacity:.2;stroke:none}.line{fill:none;stroke-width:2}.over{fill:#888;opacity:0}.over:hover{opacity:.22}\
    .d1 .line{stroke-dasharray:7 3}.d2 .line{stroke-dasharray:2 3}.d3 .line{stroke-dasharray:9 2 2 2}\
    .r0{stroke-dasharray:6 2}.r1{stroke-dasharray:2 2}.r2{stroke-dasharray:1 4}";
const DARK: &str = ".paper{fill:#15181c}svg text{fill:#eee}svg .small{fill:#bbb}svg .letter{fill:#111}.grid{stroke:#444}\
    .axis,.edge{stroke:#999}.step{stroke:#ccc}.interval{stroke:#eee}.rules{stroke:#888}.reference{stroke:#bbb}.stage{opacity:.22}";

/// The style sheet. Colours are written out and not kept in variables, which few programs but browsers know.
pub(crate) fn style() -> String {
    let rules = |of: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        let rule = |(index, colour): (usize, &'static str)| {
            format!(".s{index} .line{{stroke:{colour}}}.s{index} .band,.s{index} .mark{{fill:{colour}}}")
        };
        CURVES.iter().map(of).enumerate().map(rule).collect()
    };
    let stages = STAGES.iter().enumerate().map(|(index, colour)| format!(".b{index}{{fill:{colour}}}"));
    let (light, dark) = (rules(|colour| colour.0), rules(|colour| colour.1));
    let stages: String = stages.collect();
    format!("{STYLE}{light}{stages}@media screen and (prefers-color-scheme:dark){{{DARK}{dark}}}")
}

/// The classes of a curve: its colour, and its dash where colours repeat.
pub(super) fn class(index: usize) -> String {
    format!("s{} d{}", index % CURVES.len(), (index + index / CURVES.len()) % 4)
}

/// A colour between those of two stages: 0 is the first, 1 the second.
pub(crate) fn between_stages(from: usize, to: usize, share: f64) -> String {
    let number = |stage: usize| u32::from_str_radix(&STAGES[stage % STAGES.len()][1..], 16).unwrap_or(0);
    mixed(number(from), number(to), share)
}

/// The colour of a share between 0 and 1.
pub(crate) fn of_share(share: f64, signed: bool) -> String {
    along(if signed { &DIVERGING } else { &SEQUENTIAL }, share)
}

/// The colour of a share of signed numbers on a dark page.
pub(crate) fn of_share_on_dark(share: f64) -> String {
    along(&DIVERGING_ON_DARK, share)
}

fn along(stops: &[u32], share: f64) -> String {
    let along = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let at = (along as usize).min(stops.len() - 2);
    mixed(stops[at], stops[at + 1], along - at as f64)
}

/// A colour between two others.
fn mixed(from: u32, to: u32, share: f64) -> String {
    let mixed = [16, 8, 0].map(|shift| {
        let [from, to] = [from, to].map(|stop| f64::from(stop >> shift & 0xff));
        (from + (to - from) * share).round() as u8
    });
    format!("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_from_one_end_to_the_other() {
        assert_eq!([0.0, 1.0, 2.0].map(|share| of_share(share, false)), ["#00224e", "#fee838", "#fee838"]);
        assert_eq!([of_share(0.5, true), of_share_on_dark(0.5)], ["#f7f7f7", "#1e2227"]);
        assert_eq!(of_share(1.0 / 16.0, true), "#327db8");
        assert_eq!([0.0, 1.0].map(|share| between_stages(0, 1, share)), [STAGES[0], STAGES[1]]);
    }

    #[test]
    fn twelve_curves_differ() {
        let classes: std::collections::BTreeSet<_> = (0..12).map(class).collect();
        assert_eq!(classes.len(), 12);
    }
}
