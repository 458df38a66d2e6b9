//! `docs/reference/cli.md`, made of the definitions of the command line.
//!
//! The test fails when the page is out of date; `UPDATE_REFERENCE=1 cargo test -p cli reference`
//! writes it.

use std::{env, fmt::Write as _, fs};

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/cli.md");

#[test]
fn the_page_says_what_the_program_says() {
    let page = page();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(PAGE, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(PAGE).expect("docs/reference/cli.md can be read");
    assert!(
        written == page,
        "docs/reference/cli.md is out of date; run UPDATE_REFERENCE=1 cargo test -p cli reference"
    );
}

fn page() -> String {
    // Whether lines wrap would depend on the features that other packages ask of clap.
    let mut command = Arguments::command().term_width(0);
    command.build();
    let mut page = String::from(
        "<!-- Made of the program's own definitions: UPDATE_REFERENCE=1 cargo test -p cli reference -->\n\
         # kubectl sidecar\n",
    );
    push_help(&mut page, &mut command);
    push_subcommands(&mut page, &mut command, "kubectl sidecar");
    page
}

fn push_subcommands(page: &mut String, command: &mut Command, name: &str) {
    for subcommand in command.get_subcommands_mut() {
        let name = format!("{name} {}", subcommand.get_name());
        let _ = write!(page, "\n## {name}\n");
        push_help(page, subcommand);
        push_subcommands(page, subcommand, &name);
    }
}

fn push_help(page: &mut String, command: &mut Command) {
    let help = command.render_long_help().to_string();
    page.push_str("\n```text\n");
    for line in help.trim().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
}
