//! A scenario's figures beside their limits, as a Markdown table.

use std::{fmt, fs, path::Path};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Holds,
    FallsShort,
    /// A figure without a limit.
    Published,
}

pub struct Table {
    /// Of the sub-command; also the mark in docs/BENCHMARKS.md.
    pub name: &'static str,
    title: String,
    rows: Vec<([String; 3], Verdict)>,
}

impl Table {
    pub fn new(name: &'static str, title: impl Into<String>) -> Self {
        Self {
            name,
            title: title.into(),
            rows: Vec::new(),
        }
    }

    /// A figure that is right or not.
    pub fn judge(
        &mut self,
        what: impl Into<String>,
        figure: impl Into<String>,
        limit: impl Into<String>,
        holds: bool,
    ) {
        let verdict = if holds {
            Verdict::Holds
        } else {
            Verdict::FallsShort
        };
        self.rows
            .push(([what.into(), figure.into(), limit.into()], verdict));
    }

    pub fn at_most(
        &mut self,
        what: impl Into<String>,
        figure: Option<f64>,
        limit: f64,
        unit: &str,
    ) {
        let places = if limit.fract() == 0.0 && limit >= 10.0 || limit == 0.0 {
            0
        } else {
            2
        };
        let shown = figure.map_or("none".into(), |figure| format!("{figure:.2} {unit}"));
        // Nothing measured is nothing held.
        let holds = figure.is_some_and(|figure| figure <= limit);
        self.judge(what, shown, format!("≤ {limit:.places$} {unit}"), holds);
    }

    /// Something counted that must not happen.
    pub fn none(&mut self, what: impl Into<String>, count: usize) {
        self.judge(what, count.to_string(), "0", count == 0);
    }

    pub fn told(&mut self, what: impl Into<String>, figure: impl Into<String>) {
        self.rows.push((
            [what.into(), figure.into(), String::new()],
            Verdict::Published,
        ));
    }

    /// Limits held, and limits.
    pub fn held(&self) -> (usize, usize) {
        let count = |verdict| self.rows.iter().filter(|(_, of)| *of == verdict).count();
        (
            count(Verdict::Holds),
            count(Verdict::Holds) + count(Verdict::FallsShort),
        )
    }

    /// Replaces what stands between this scenario's marks in a file.
    pub fn write_into(&self, file: &Path) -> anyhow::Result<()> {
        let text = fs::read_to_string(file)?;
        let (open, close) = (format!("<!-- bench {} -->", self.name), "<!-- end -->");
        let from = text
            .find(&open)
            .ok_or_else(|| anyhow::anyhow!("{} has no mark `{open}`", file.display()))?
            + open.len();
        let to = from
            + text[from..]
                .find(close)
                .ok_or_else(|| anyhow::anyhow!("`{open}` has no end"))?;
        fs::write(file, format!("{}\n{self}{}", &text[..from], &text[to..]))?;
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        let heads = ["", "measured", "limit"].map(str::to_owned);
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .map(|(cells, _)| &cells[column])
                .chain([&heads[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        let line = |cells: &[String; 3], verdict: &str| {
            let padded: Vec<String> = cells
                .iter()
                .zip(widths)
                .map(|(cell, wide)| format!("{cell:wide$}"))
                .collect();
            format!("| {} | {verdict:<11} |", padded.join(" | "))
        };
        writeln!(f, "{}", line(&heads, ""))?;
        let rules: Vec<String> = widths
            .iter()
            .chain([&11])
            .map(|wide| "-".repeat(*wide))
            .collect();
        writeln!(f, "| {} |", rules.join(" | "))?;
        for (cells, verdict) in &self.rows {
            let verdict = match verdict {
                Verdict::Holds => "holds",
                Verdict::FallsShort => "falls short",
                Verdict::Published => "",
            };
            writeln!(f, "{}", line(cells, verdict))?;
        }
        Ok(())
    }
}
