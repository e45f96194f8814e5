//! The state of the screen: what is shown, selected, filtered, sorted. Knows neither terminal nor source.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use ratatui::layout::Rect;

use super::{
    action::View,
    columns::Which,
    config::Config,
    feed::{Control, Position, Update},
    input::Input,
    keymap::Keymap,
    picture::Picture,
    query::{Query, QueryError},
    theme::Theme,
};
use crate::model::doctor::Doctor;

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Tell the source.
    Control(Control),
    /// Put this into the clipboard.
    Copy(String),
    /// Save this in a new file.
    Save {
        /// Its name.
        name: String,
        /// What goes in.
        text: String,
    },
}

/// What keys go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The view.
    #[default]
    Normal,
    /// A filter that is being written.
    Filter(Input),
    /// The choice of what to sort by.
    Sort(usize),
    /// The help, scrolled so far.
    Help(usize),
}

/// The filter in force, and why the one being written is none.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As written.
    pub text: String,
    /// What it means; `None`: nothing is filtered.
    pub query: Option<Query>,
    /// Why what is written makes no sense.
    pub error: Option<QueryError>,
}

/// What rows of connections are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column; `None`: by the sum of both rates.
    pub by: Option<Which>,
    /// The largest first.
    pub descending: bool,
}

/// Where something on the screen can be clicked on, and what that does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hit {
    /// Shows a view.
    View(View),
    /// Sorts by a column of connections.
    Sort(usize),
    /// Selects a row: the first one shown is at the top of the place.
    Rows(usize),
    /// Goes to a place in the recording.
    Timeline,
}

/// What the last frame showed, for the mouse and for paging. Written while drawing.
#[derive(Debug, Default)]
pub struct Shown {
    /// Places to click on.
    pub hits: RefCell<Vec<(Rect, Hit)>>,
    /// How many rows the view's table has room for.
    pub height: Cell<usize>,
    /// The first row of each view's table.
    pub first: RefCell<HashMap<View, usize>>,
    /// The connection that the list was last scrolled to.
    pub followed: RefCell<Option<String>>,
}

/// Everything about the screen.
#[derive(Debug)]
pub struct App {
    /// What the guest does, as it comes.
    pub live: Picture,
    /// What it did when the picture was frozen.
    pub frozen: Option<Box<Picture>>,
    /// The view.
    pub view: View,
    /// Where to go back to.
    pub before: Option<View>,
    /// What keys go to.
    pub mode: Mode,
    /// The filter.
    pub filter: Filter,
    /// The order of connections.
    pub sort: Sort,
    /// Rows that are kept in place, by id.
    pub held: Option<HashMap<String, usize>>,
    /// Whether connections that are gone are shown.
    pub show_gone: bool,
    /// Latency of the last seconds rather than since the start.
    pub recent: bool,
    /// The selected row of each view, by what identifies it.
    pub selected: HashMap<View, String>,
    /// What to say until the next key.
    pub notice: Option<(String, bool)>,
    /// Where the recording is; `None`: live.
    pub position: Option<Position>,
    /// Why nothing can be watched.
    pub doctor: Option<Box<Doctor>>,
    /// Nothing more comes, and why.
    pub failed: Option<(String, String)>,
    /// Time between Snapshots of the live kernel.
    pub interval: Duration,
    /// How things look.
    pub theme: Theme,
    /// What keys do.
    pub keymap: Keymap,
    /// What the last frame showed.
    pub shown: Shown,
}

impl App {
    /// A screen to which nothing has come yet.
    pub fn new(config: &Config, theme: Theme, interval: Duration) -> Self {
        let mut app = Self {
            live: Picture::default(),
            frozen: None,
            view: config.view.unwrap_or_default(),
            before: None,
            mode: Mode::Normal,
            filter: Filter::default(),
            sort: Sort { by: None, descending: true },
            held: None,
            show_gone: true,
            recent: false,
            selected: HashMap::new(),
            notice: None,
            position: None,
            doctor: None,
            failed: None,
            interval,
            theme,
            keymap: config.keymap.clone(),
            shown: Shown::default(),
        };
        if let Some(filter) = &config.filter {
            app.set_filter(filter);
        }
        app
    }

    /// What is shown: the newest, or what was frozen.
    pub fn picture(&self) -> &Picture {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// Takes what comes.
    pub fn take(&mut self, update: Update) {
        match update {
            Update::Snapshot(snapshot) => self.live.snapshot(*snapshot),
            Update::Event(event) => self.live.event(*event),
            Update::Reset => self.live.reset(),
            Update::Position(position) => self.position = Some(position),
            Update::Doctor(doctor) => self.doctor = Some(doctor),
            Update::Notice(text) => self.notice = Some((text, true)),
            Update::Failed { what, remedy } => self.failed = Some((what, remedy)),
        }
    }

    /// Takes a filter as far as it makes sense; one that does not leaves the last one in force.
    pub fn set_filter(&mut self, text: &str) {
        text.clone_into(&mut self.filter.text);
        match Query::parse(text) {
            Ok(query) => {
                self.filter.query = query;
                self.filter.error = None;
            }
            Err(error) => self.filter.error = Some(error),
        }
    }

    /// Says something until the next key.
    pub fn say(&mut self, text: impl Into<String>) {
        self.notice = Some((text.into(), false));
    }

    /// What is selected in the view.
    pub fn selection(&self) -> Option<&str> {
        self.selected.get(&self.view).map(String::as_str)
    }

    /// The connection that is looked at: the one selected in the list.
    pub fn connection(&self) -> Option<&str> {
        self.selected.get(&View::Connections).map(String::as_str)
    }
}
