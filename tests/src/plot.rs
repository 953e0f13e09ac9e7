//! Line charts with logarithmic axes as SVG text, for documents: no library, no script, the same bytes for the same points.

use std::fmt::Write as _;

/// A chart of several lines; all coordinates are above 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Horizontal axis with its unit.
    pub x: &'a str,
    /// Vertical axis with its unit.
    pub y: &'a str,
    /// Names and points of the lines, points by rising x.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Chart<'_> {
    /// The chart as a standalone SVG document; points that are not above 0 are left out.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.write(&mut out)
            .expect("writing to a string cannot fail");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
        )?;
        writeln!(
            out,
            "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"
        )?;
        writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>",
            escaped(self.title)
        )?;
        let across = Axis::of(self.points().map(|(x, _)| x), LEFT, RIGHT);
        let up = Axis::of(self.points().map(|(_, y)| y), BOTTOM, TOP);
        self.write_axes(out, &across, &up)?;
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let color = COLORS[index % COLORS.len()];
            let shown = points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
            let places: Vec<String> = shown
                .map(|(x, y)| format!("{:.1},{:.1}", across.place(*x), up.place(*y)))
                .collect();
            writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>",
                places.join(" ")
            )?;
            let y = TOP + 16.0 * index as f64;
            writeln!(
                out,
                "<text x=\"{}\" y=\"{y}\" fill=\"{color}\">{}</text>",
                RIGHT + 10.0,
                escaped(name)
            )?;
        }
        out.push_str("</svg>\n");
        Ok(())
    }

    fn write_axes(&self, out: &mut String, across: &Axis, up: &Axis) -> std::fmt::Result {
        for (at, text) in across.ticks() {
            writeln!(
                out,
                "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{BOTTOM}\" stroke=\"#ddd\"/>"
            )?;
            writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                BOTTOM + 18.0
            )?;
        }
        for (at, text) in up.ticks() {
            writeln!(
                out,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>"
            )?;
            writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            )?;
        }
        let middle = (LEFT + RIGHT) / 2.0;
        writeln!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 38.0,
            escaped(self.x)
        )?;
        writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"{}\">{}</text>",
            TOP - 8.0,
            escaped(self.y)
        )
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + Clone + use<'_> {
        let all = self.lines.iter().flat_map(|(_, points)| points);
        all.copied().filter(|(x, y)| *x > 0.0 && *y > 0.0)
    }
}

/// One logarithmic axis, in whole powers of ten.
struct Axis {
    low: i32,
    high: i32,
    start: f64,
    end: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(0.0, f64::max);
        let (low, high) = if low.is_finite() {
            (low, high)
        } else {
            (1.0, 1.0)
        };
        let low = low.log10().floor() as i32;
        let high = (high.log10().ceil() as i32).max(low + 1);
        Self {
            low,
            high,
            start,
            end,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.start + share * (self.end - self.start)
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, String)> + use<'_> {
        (self.low..=self.high).map(|power| {
            let text = match power {
                -3..=3 => format!("{}", 10_f64.powi(power)),
                _ => format!("10^{power}"),
            };
            (self.place(10_f64.powi(power)), text)
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 360.0;
const COLORS: [&str; 7] = [
    "#1b6ca8", "#d1495b", "#3a7d44", "#e08e0b", "#6a4c93", "#444444", "#009e9e",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let lines = vec![("8 & 16 nodes".to_owned(), points)];
        Chart {
            title: "cost < limit",
            x: "cells",
            y: "seconds",
            lines,
        }
        .svg()
    }

    #[test]
    fn points_are_where_their_logarithms_are() {
        let svg = chart(vec![(1.0, 0.01), (100.0, 1.0)]);
        assert!(svg.contains("points=\"70.0,360.0 590.0,60.0\""), "{svg}");
        assert!(svg.contains(">0.01<") && svg.contains(">100<"), "{svg}");
    }

    #[test]
    fn text_is_escaped() {
        let svg = chart(vec![(1.0, 1.0)]);
        assert!(
            svg.contains("8 &amp; 16 nodes") && svg.contains("cost &lt; limit"),
            "{svg}"
        );
    }

    #[test]
    fn points_that_have_no_logarithm_are_left_out() {
        let svg = chart(vec![(0.0, 1.0), (-1.0, 2.0), (10.0, f64::NAN), (10.0, 5.0)]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
