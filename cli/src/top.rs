//! `packrank top`: the node, live.
//!
//! In: the node, every two seconds, and keys. Out: a screen: packs by class,
//! use against limit, network, disks, who is held back or waits, and what the
//! watcher does now; or, with `--once`, the same lines on stdout.

mod detail;
mod draw;
mod gauge;
mod json;
mod list;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use packrank_monitor::Sampler;
use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};
use ratatui::text::{Line, Text};

use crate::Format;
use crate::metrics::Place;
use crate::terminal::{fail, print};
use view::{Go, View};

/// Between two looks: soon enough for people, 0.1 % of a core for ten packs.
const EVERY: Duration = Duration::from_secs(2);

/// Between the two looks that rates take.
const APART: Duration = Duration::from_secs(1);

/// Show the packs of this node live.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look once, print and end.
    #[arg(long)]
    once: bool,
    /// How `--once` answers.
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "once")]
    format: Format,
    /// Begin with the packs sorted by this.
    #[arg(long, value_enum, default_value_t = view::Sort::Class)]
    sort: view::Sort,
    /// Begin with those packs only whose name, pod, namespace, id or class has
    /// this in it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let begun = Sampler::new(args.place.roots());
    let mut sampler = match begun {
        Ok(sampler) => sampler,
        Err(error) => return fail(&error),
    };
    let mut view = View::new(hostname(), args.sort, &args.filter);
    look(&mut sampler, &mut view);
    if args.once {
        std::thread::sleep(APART);
        look(&mut sampler, &mut view);
        return once(args, &view);
    }
    match live(sampler, view) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn look(sampler: &mut Sampler, view: &mut View) {
    view.take(sampler.look());
    let news = view.follower.hear(&sampler.roots().socket());
    // Without a watcher nothing is done, and the screen says that it is not there.
    view.hear(news.unwrap_or_default().events);
}

fn once(args: &Args, view: &View) -> ExitCode {
    print(ExitCode::SUCCESS, |out| match args.format {
        Format::Json => writeln!(out, "{}", json::tell(view)),
        Format::Table => {
            let width = crate::terminal::width();
            for line in draw::whole(view, width) {
                writeln!(out, "{}", line.to_string().trim_end())?;
            }
            Ok(())
        }
    })
}

fn live(mut sampler: Sampler, mut view: View) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut due = Instant::now() + APART;
    let ended = loop {
        let drawn = terminal.draw(|frame| {
            let area = frame.area();
            let size = (usize::from(area.width), usize::from(area.height));
            let lines: Vec<Line<'static>> = draw::screen(&mut view, size.0, size.1);
            frame.render_widget(Text::from(lines), area);
        });
        if let Err(error) = drawn {
            break Err(error);
        }
        match event::poll(due.saturating_duration_since(Instant::now())) {
            Ok(true) => match event::read() {
                Ok(Input::Key(key)) if key.kind == KeyEventKind::Press => {
                    if view.press(key) == Go::Away {
                        break Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) => break Err(error),
            },
            Ok(false) => {
                due = Instant::now() + EVERY;
                if !view.held {
                    look(&mut sampler, &mut view);
                }
            }
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    ended
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "node".to_owned(), |name| name.trim().to_owned())
}
