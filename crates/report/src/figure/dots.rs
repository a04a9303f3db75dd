//! Numbers of named things, a row for each with its standard error: [`Dots`], and how they are drawn.

use std::fmt::{self, Write};

use stratigraph_profile::{Curve, Scale, catalogue};

use super::axis::Axis;
use super::draw::{HEADING, TITLE, WIDTH};
use super::horizontal::LONGEST;
use super::legend::Legend;
use super::marker::mark;
use super::{Point, Series};
use crate::text::{Escaped, Tick, shortened, with_error};

/// Of a row.
const ROW: f64 = 17.0;
/// Beside the rows: the approximate width of a character of a name, and the margin around names.
const CHARACTER: f64 = 7.3;
const MARGIN: f64 = 16.0;
const RIGHT: f64 = 22.0;
/// Below the rows.
const BOTTOM: f64 = 44.0;
/// Between two series of a row.
const APART: f64 = 5.0;

/// Numbers of named things, such as the heads that matter most: a row for each, with a dot and an error bar of one standard error
/// for each series.
///
/// ```
/// use stratigraph_profile::{Axis, Curve, Unit};
/// use stratigraph_report::figure::{Dots, Figure, Panel};
///
/// let kl = (0..270).map(|head| if head == 29 { 2.0 } else { 0.01 }).collect();
/// let curve = Curve::new(Axis::all_heads(30, 9), Unit::Nats, kl);
/// let dots = Dots::from_curve("zero_heads_kl", &curve).largest(20);
/// assert_eq!((dots.rows.len(), &dots.rows[0][..]), (20, "3.2"));
/// let figure = Figure::new("heads", "Heads").with_panel(Panel::Dots(dots));
/// assert!(figure.to_string().contains("head 3.2, zero heads: KL: 2"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Dots {
    /// The heading.
    pub title: String,
    /// What runs from left to right, with its unit.
    pub label: String,
    /// The names of the rows, from top to bottom.
    pub rows: Vec<String>,
    /// How numbers become lengths.
    pub scale: Scale,
    /// In the order of the legend; the row of a point is its `x`.
    pub series: Vec<Series>,
}

impl Dots {
    /// Rows without numbers.
    pub fn new(title: impl Into<String>, label: impl Into<String>, rows: Vec<String>, scale: Scale) -> Self {
        Self { title: title.into(), label: label.into(), rows, scale, series: Vec::new() }
    }

    /// A row for each point of a curve, with the title and unit of the catalogue or of the curve itself.
    pub fn from_curve(name: &str, curve: &Curve) -> Self {
        let entry = catalogue::describe(name, curve);
        let rows = (0..curve.len()).map(|index| curve.axis.tick(index)).collect();
        let dots = Self::new(entry.title.clone(), entry.axis_label(), rows, entry.scale);
        dots.with_series(Series::from_curve(entry.label, curve))
    }

    /// Adds a series.
    pub fn with_series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The `n` rows whose numbers of the first series are furthest from their median, the furthest first: where most things do
    /// little, those that matter most.
    pub fn largest(self, n: usize) -> Self {
        let Some(first) = self.series.first() else { return self };
        let mut numbers: Vec<&Point> = first.points.iter().filter(|point| point.y.is_finite()).collect();
        numbers.sort_by(|a, b| a.y.total_cmp(&b.y));
        let n_numbers = numbers.len();
        if n_numbers == 0 {
            return self;
        }
        let median = (numbers[(n_numbers - 1) / 2].y + numbers[n_numbers / 2].y) / 2.0;
        numbers.sort_by(|a, b| (b.y - median).abs().total_cmp(&(a.y - median).abs()).then(a.x.total_cmp(&b.x)));
        let kept: Vec<usize> = numbers.iter().take(n).map(|point| point.x as usize).collect();
        let moved = |series: &Series| {
            let at = |point: &Point| kept.iter().position(|row| *row == point.x as usize);
            let points = series.points.iter().filter_map(|point| Some(Point { x: at(point)? as f64, ..point.clone() }));
            Series::new(&series.name, points.collect())
        };
        let series = self.series.iter().map(moved).collect();
        let rows = kept.iter().filter_map(|row| self.rows.get(*row).cloned()).collect();
        Self { rows, series, ..self }
    }
}

/// A panel laid out.
pub(super) struct Drawing<'a> {
    dots: &'a Dots,
    legend: Legend,
    left: f64,
    top: f64,
    axis: Axis,
}

impl<'a> Drawing<'a> {
    pub(super) fn of(dots: &'a Dots) -> Self {
        let several = dots.series.len() > 1;
        let legend = Legend::of_names(dots.series.iter().filter(|_| several).map(|series| series.name.as_str()));
        let widest = dots.rows.iter().map(|name| name.chars().count().min(LONGEST)).max().unwrap_or(0);
        let (left, top) =
            (MARGIN + CHARACTER * widest as f64, TITLE + if several { legend.height() } else { 0.0 } + 4.0);
        let points = dots.series.iter().flat_map(|series| &series.points);
        let ends = points.flat_map(|point| {
            let sem = point.sem.unwrap_or(0.0);
            [point.y, point.y + sem, if dots.scale == Scale::Log { point.y } else { point.y - sem }]
        });
        let axis = Axis::over(ends, dots.scale, left, WIDTH - RIGHT);
        Self { dots, legend, left, top, axis }
    }

    fn bottom(&self) -> f64 {
        self.top + ROW * self.dots.rows.len().max(1) as f64
    }

    pub(super) fn height(&self) -> f64 {
        self.bottom() + BOTTOM
    }

    /// The panel in words.
    pub(super) fn in_words(&self) -> String {
        let Dots { title, label, rows, .. } = self.dots;
        format!("{title}: {label} of {}", rows.join(", "))
    }

    pub(super) fn draw(&self, f: &mut impl Write) -> fmt::Result {
        let title = shortened(&self.dots.title, HEADING);
        write!(f, r#"<text class="title" x="{MARGIN}" y="16">{}</text>"#, Escaped(&title))?;
        if self.dots.series.len() > 1 {
            self.legend.draw(f, TITLE)?;
        }
        self.draw_axis(f)?;
        for (row, name) in self.dots.rows.iter().enumerate() {
            let (x, y, name) = (self.left - 8.0, self.middle(row) + 4.0, shortened(name, LONGEST));
            write!(f, r#"<text class="small" x="{x:.1}" y="{y:.1}" text-anchor="end">{}</text>"#, Escaped(&name))?;
        }
        for (index, series) in self.dots.series.iter().enumerate() {
            write!(f, r#"<g class="s{}">"#, index % 6)?;
            series.points.iter().try_for_each(|point| self.draw_point(f, index, point))?;
            f.write_str("</g>")?;
        }
        self.draw_rows(f)
    }

    fn middle(&self, row: usize) -> f64 {
        self.top + ROW * (row as f64 + 0.5)
    }

    /// The axis below the rows, its lines between them, and as many of its numbers as there is room for.
    fn draw_axis(&self, f: &mut impl Write) -> fmt::Result {
        let (bottom, mut free) = (self.bottom(), f64::NEG_INFINITY);
        for &tick in self.axis.ticks() {
            let (x, text) = (self.axis.place(tick).unwrap_or(self.left), Tick(tick).to_string());
            write!(f, r#"<path class="grid" d="M{x:.1} {:.1}V{bottom:.1}"/>"#, self.top)?;
            let half = CHARACTER * (text.chars().count() + 1) as f64 / 2.0;
            if x - half >= free {
                free = x + half;
                let y = bottom + 16.0;
                write!(f, r#"<text class="small" x="{x:.1}" y="{y:.1}" text-anchor="middle">{text}</text>"#)?;
            }
        }
        let (middle, y, label) = (WIDTH / 2.0, bottom + 35.0, shortened(&self.dots.label, HEADING));
        write!(f, r#"<text x="{middle}" y="{y:.1}" text-anchor="middle">{}</text>"#, Escaped(&label))
    }

    /// A dot and the bar of its standard error.
    fn draw_point(&self, f: &mut impl Write, index: usize, point: &Point) -> fmt::Result {
        let (row, Some(x)) = (point.x as usize, self.axis.place(point.y)) else { return Ok(()) };
        if row >= self.dots.rows.len() {
            return Ok(());
        }
        let y = self.middle(row) + APART * (index as f64 - (self.dots.series.len() as f64 - 1.0) / 2.0);
        if let Some(sem) = point.sem.filter(|sem| sem.is_finite()) {
            let [from, to] = [-sem, sem].map(|by| self.axis.place(point.y + by).unwrap_or(self.axis.start()));
            write!(f, r#"<path class="line" d="M{from:.1} {y:.1}H{to:.1}"/>"#)?;
        }
        mark(f, index, (x, y), 1.0)
    }

    /// A stripe over each row that shows its numbers under the mouse.
    fn draw_rows(&self, f: &mut impl Write) -> fmt::Result {
        let (left, width) = (self.left, WIDTH - RIGHT - self.left);
        for row in 0..self.dots.rows.len() {
            let points =
                self.dots.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
            let points = points.filter(|(_, point)| point.x as usize == row && point.y.is_finite());
            let text = points.map(|(series, point)| {
                format!("{}, {}: {} ({})", point.at, series.name, with_error(point.y, point.sem), self.dots.label)
            });
            let (text, y) = (text.collect::<Vec<_>>().join("\n"), self.middle(row) - ROW / 2.0);
            write!(f, r#"<path class="over" d="M{left:.1} {y:.1}h{width:.1}v{ROW}h-{width:.1}z">"#)?;
            write!(f, "<title>{}</title></path>", Escaped(&text))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis as ProfileAxis, Unit};

    use super::*;
    use crate::figure::{Figure, Panel};

    fn heads(values: Vec<f64>) -> Curve {
        let sem = vec![Some(0.25); values.len()];
        Curve::new(ProfileAxis::all_heads(values.len(), 1), Unit::Nats, values).with_sem(sem)
    }

    fn drawn(dots: Dots) -> String {
        Figure::new("f", "F").with_panel(Panel::Dots(dots)).to_string()
    }

    #[test]
    fn what_is_furthest_from_the_median_comes_first() {
        let dots = Dots::from_curve("zero_heads_nll", &heads(vec![2.0, 5.0, 2.1, f64::NAN, 0.5, 2.0]));
        let largest = dots.clone().largest(2);
        assert_eq!(largest.rows, ["1.0", "4.0"]);
        let points: Vec<_> = largest.series[0].points.iter().map(|point| (point.x, &point.at[..], point.y)).collect();
        assert_eq!(points, [(0.0, "head 1.0", 5.0), (1.0, "head 4.0", 0.5)]);
        assert_eq!(dots.largest(99).rows.len(), 5, "a head without a number is left out");
        let of_four = Dots::from_curve("zero_heads_nll", &heads(vec![0.0, 1.0, 3.0, 3.6])).largest(2);
        assert_eq!(of_four.rows, ["0.0", "3.0"], "the median of an even number is between the middle two");
    }

    #[test]
    fn rows_have_names_dots_and_errors() {
        let svg = drawn(Dots::from_curve("zero_heads_kl", &heads(vec![0.5, 3.0])));
        assert!(svg.contains("head 1.0, zero heads: KL: 3 ± 0.25 (KL, nats)"), "{svg}");
        assert_eq!((svg.matches("class=\"mark\"").count(), svg.matches("class=\"line\"").count()), (2, 2));
        let both =
            Dots::from_curve("a", &heads(vec![1.0, 2.0])).with_series(Series::from_curve("b", &heads(vec![3.0])));
        let svg = drawn(both);
        assert_eq!(svg.matches("class=\"over\"").count(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 3 + 2, "with those of the legend");
    }

    #[test]
    fn odd_numbers_have_no_place() {
        for odd in [vec![], vec![f64::NAN], vec![0.0], vec![f64::INFINITY, 1e300, -1e300], vec![1e-300; 3]] {
            let dots = Dots::from_curve("zero_heads_kl", &heads(odd));
            for dots in [dots.clone(), dots.largest(3)] {
                let svg = drawn(dots);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
