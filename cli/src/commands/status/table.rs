//! The answer for people: a table, and below it what people should look at.

use std::io::{self, Write};

use super::{State, Totals};
use crate::output::{
    Cell, Column, Layout,
    styles::{self, Colours},
};

const COLUMNS: [Column; 12] = [
    left("NAMESPACE"),
    left("NAME"),
    left("MODE"),
    left("READY"),
    right("MATCHED"),
    right("INJECTED"),
    right("OUTDATED"),
    right("SKIPPED"),
    right("MISSING"),
    right("SURPLUS"),
    right("CPU"),
    right("MEMORY"),
];
/// What stands in a cell without a value.
const NONE: &str = "-";

const fn left(heading: &'static str) -> Column {
    Column { heading, right: false }
}

const fn right(heading: &'static str) -> Column {
    Column { heading, right: true }
}

/// Writes the table of policies, what it sums up to, and what people should look at.
pub(super) fn write(states: &[&State], colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<Vec<Cell>> = states.iter().map(|state| row(state)).collect();
    if states.len() > 1 {
        rows.push(total(&Totals::of(states)));
    }
    let layout = Layout::of(&COLUMNS, &rows);
    layout.write_headings(colours, out)?;
    for row in &rows {
        layout.write_row(row, colours, out)?;
    }
    for state in states {
        write_remarks(state, colours, out)?;
    }
    Ok(())
}

/// The layout for rows that come one by one.
pub(super) fn layout(states: &[&State]) -> Layout<'static> {
    let rows: Vec<Vec<Cell>> = states.iter().map(|state| row(state)).collect();
    Layout::of(&COLUMNS, &rows)
}

/// The row of a policy.
pub(super) fn row(state: &State) -> Vec<Cell> {
    let pods = &state.status.pods;
    let readiness = state.readiness();
    let style = match readiness.status.as_str() {
        "True" => styles::GOOD,
        "False" => styles::BAD,
        _ => styles::WARNING,
    };
    let to_look_at = |count: i64| {
        let style = if count > 0 { styles::WARNING } else { anstyle::Style::new() };
        Cell { text: count.to_string(), style }
    };
    vec![
        state.policy.namespace.as_deref().unwrap_or(NONE).into(),
        state.policy.name.as_str().into(),
        state.mode.as_str().into(),
        Cell { text: readiness.status, style },
        pods.matched.into(),
        pods.injected.into(),
        to_look_at(pods.outdated),
        to_look_at(pods.skipped),
        to_look_at(pods.missing),
        to_look_at(pods.surplus),
        state.request("cpu").unwrap_or(NONE).into(),
        state.request("memory").unwrap_or(NONE).into(),
    ]
}

fn total(totals: &Totals) -> Vec<Cell> {
    let pods = &totals.pods;
    let amount = |resource| totals.request(resource).unwrap_or_else(|| NONE.to_owned());
    let cells: Vec<Cell> = vec![
        "total".into(),
        "".into(),
        "".into(),
        "".into(),
        pods.matched.into(),
        pods.injected.into(),
        pods.outdated.into(),
        pods.skipped.into(),
        pods.missing.into(),
        pods.surplus.into(),
        amount("cpu").into(),
        amount("memory").into(),
    ];
    cells.into_iter().map(|cell| Cell { style: styles::HEADING, ..cell }).collect()
}

/// Writes what people should look at about a policy.
fn write_remarks(state: &State, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let remarks = remarks(state);
    if remarks.is_empty() {
        return Ok(());
    }
    let policy = format!("{} {}", state.policy.kind(), state.policy);
    writeln!(out, "\n{}", colours.paint(styles::HEADING, policy))?;
    for remark in remarks {
        writeln!(out, "  {remark}")?;
    }
    Ok(())
}

fn remarks(state: &State) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(state.readiness().why.map(|why| format!("not ready: {why}")));
    remarks.extend(state.stopped().map(|why| format!("its rollout stopped: {why}")));
    for skipped in &state.status.skipped {
        let example = skipped.example.as_ref();
        let example = example.map(|pod| format!(" (such as {pod})")).unwrap_or_default();
        remarks.push(format!("skipped {}: {}{example}", skipped.count, skipped.reason));
    }
    if state.status.pods.opted_out > 0 {
        remarks.push(format!("opted out: {}", state.status.pods.opted_out));
    }
    remarks.extend(state.note.clone());
    remarks
}
