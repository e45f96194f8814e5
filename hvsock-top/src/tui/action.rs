//! What can be done, by name. Keys are bound to these, the help lists them, the configuration names them.

/// Something the user can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Leave.
    Quit,
    /// Show or hide the help.
    Help,
    /// Stop the picture, or let it go on; of a recording, pause or play.
    Freeze,
    /// The next view.
    NextView,
    /// The view before.
    PreviousView,
    /// A view.
    Show(View),
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// Look closer at the selected row.
    Open,
    /// Back to where one was; drop a filter or a selection.
    Back,
    /// Write a filter.
    Filter,
    /// Choose what to sort by.
    SortMenu,
    /// Sort by the next column.
    SortNext,
    /// Sort by the column before.
    SortPrevious,
    /// Turn the order round.
    Reverse,
    /// Keep rows where they are.
    Hold,
    /// Show or hide connections that are gone.
    Gone,
    /// Latency since the start or of the last seconds.
    Window,
    /// A shorter interval; a recording faster.
    Faster,
    /// A longer interval; a recording slower.
    Slower,
    /// A recording's Snapshot before.
    StepBack,
    /// A recording's next Snapshot.
    StepForward,
    /// Ten Snapshots back.
    SeekBack,
    /// Ten Snapshots forward.
    SeekForward,
    /// The recording's beginning.
    SeekFirst,
    /// The recording's end.
    SeekLast,
    /// Copy the selected row.
    Copy,
    /// Save what the view shows as CSV.
    SaveCsv,
    /// Save what the view shows as JSON.
    SaveJson,
    /// Try the next colours.
    Theme,
}

/// A view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// What is going on and what is wrong.
    #[default]
    Overview,
    /// All connections.
    Connections,
    /// One connection.
    Detail,
    /// Listeners.
    Listeners,
    /// Latency.
    Latency,
    /// Lookup of bound sockets.
    Lookup,
    /// What is wrong.
    Findings,
    /// Probes and accounting.
    Probes,
    /// Lifecycle events.
    Events,
}

impl View {
    /// All, in the order of their keys.
    pub const ALL: [Self; 9] = [
        Self::Overview,
        Self::Connections,
        Self::Detail,
        Self::Listeners,
        Self::Latency,
        Self::Lookup,
        Self::Findings,
        Self::Probes,
        Self::Events,
    ];

    /// Its name on the screen, and a short one.
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "Main"),
            Self::Connections => ("Connections", "Conns"),
            Self::Detail => ("Detail", "Detail"),
            Self::Listeners => ("Listeners", "Listen"),
            Self::Latency => ("Latency", "Latency"),
            Self::Lookup => ("Lookup", "Lookup"),
            Self::Findings => ("Findings", "Find"),
            Self::Probes => ("Probes", "Probes"),
            Self::Events => ("Events", "Events"),
        }
    }
}

/// An action, its name in the configuration, the keys it has unless others are given, and what it does.
pub(super) struct Entry {
    /// The action.
    pub action: Action,
    /// Its name.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
    /// What it does.
    pub help: &'static str,
    /// The part of the help it stands in.
    pub group: Group,
}

/// Parts of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Views.
    Views,
    /// Rows.
    Rows,
    /// The picture.
    Picture,
    /// A recording.
    Recording,
}

impl Group {
    /// All, in order.
    pub(super) const ALL: [Self; 4] = [Self::Views, Self::Rows, Self::Picture, Self::Recording];

    /// Its title.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Views => "Views",
            Self::Rows => "Rows",
            Self::Picture => "Picture",
            Self::Recording => "Recording",
        }
    }
}

const fn entry(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    group: Group,
    help: &'static str,
) -> Entry {
    Entry { action, name, keys, help, group }
}

/// Every action.
pub(super) const ACTIONS: &[Entry] = &[
    entry(Action::Show(View::Overview), "overview", &["1"], Group::Views, "what is going on, what is wrong"),
    entry(Action::Show(View::Connections), "connections", &["2"], Group::Views, "all connections"),
    entry(Action::Show(View::Detail), "detail", &["3"], Group::Views, "the selected connection"),
    entry(Action::Show(View::Listeners), "listeners", &["4"], Group::Views, "listeners and their backlogs"),
    entry(Action::Show(View::Latency), "latency", &["5"], Group::Views, "how long things take"),
    entry(Action::Show(View::Lookup), "lookup", &["6"], Group::Views, "finding the bound socket"),
    entry(Action::Show(View::Findings), "findings", &["7"], Group::Views, "what is wrong, with evidence"),
    entry(
        Action::Show(View::Probes),
        "probes",
        &["8"],
        Group::Views,
        "what is observed, and what was missed",
    ),
    entry(Action::Show(View::Events), "events", &["9"], Group::Views, "opened, refused, accepted, closed"),
    entry(Action::NextView, "next_view", &["tab"], Group::Views, "next view"),
    entry(Action::PreviousView, "previous_view", &["shift-tab"], Group::Views, "view before"),
    entry(Action::Help, "help", &["?", "h", "f1"], Group::Views, "this help"),
    entry(Action::Quit, "quit", &["q", "ctrl-c"], Group::Views, "leave"),
    entry(Action::Up, "up", &["up", "k"], Group::Rows, "row above"),
    entry(Action::Down, "down", &["down", "j"], Group::Rows, "row below"),
    entry(Action::PageUp, "page_up", &["pageup", "ctrl-u"], Group::Rows, "page up"),
    entry(Action::PageDown, "page_down", &["pagedown", "ctrl-d"], Group::Rows, "page down"),
    entry(Action::First, "first", &["home", "g"], Group::Rows, "first row"),
    entry(Action::Last, "last", &["end", "G"], Group::Rows, "last row"),
    entry(Action::Open, "open", &["enter"], Group::Rows, "look closer"),
    entry(Action::Back, "back", &["esc"], Group::Rows, "back; drop the filter"),
    entry(Action::Filter, "filter", &["/"], Group::Rows, "filter, such as port:5000 and stalls>0"),
    entry(Action::SortMenu, "sort", &["s"], Group::Rows, "choose the order"),
    entry(Action::SortPrevious, "sort_previous", &["<"], Group::Rows, "sort by the column before"),
    entry(Action::SortNext, "sort_next", &[">"], Group::Rows, "sort by the next column"),
    entry(Action::Reverse, "reverse", &["r"], Group::Rows, "turn the order round"),
    entry(Action::Hold, "hold", &["o"], Group::Rows, "keep rows where they are"),
    entry(Action::Gone, "gone", &["x"], Group::Rows, "show or hide closed connections"),
    entry(Action::Copy, "copy", &["y"], Group::Rows, "copy the row"),
    entry(
        Action::Freeze,
        "freeze",
        &["space"],
        Group::Picture,
        "freeze the picture; a recording: pause, play",
    ),
    entry(Action::Window, "window", &["w"], Group::Picture, "latency since the start, or of the last 10 s"),
    entry(Action::Faster, "faster", &["+", "="], Group::Picture, "shorter interval; a recording: faster"),
    entry(Action::Slower, "slower", &["-"], Group::Picture, "longer interval; a recording: slower"),
    entry(Action::SaveCsv, "save_csv", &["c"], Group::Picture, "save this view as CSV"),
    entry(Action::SaveJson, "save_json", &["e"], Group::Picture, "save this view as JSON"),
    entry(Action::Theme, "theme", &["t"], Group::Picture, "other colours"),
    entry(Action::StepBack, "step_back", &["left", ","], Group::Recording, "one Snapshot back"),
    entry(Action::StepForward, "step_forward", &["right", "."], Group::Recording, "one Snapshot on"),
    entry(Action::SeekBack, "seek_back", &["["], Group::Recording, "ten Snapshots back"),
    entry(Action::SeekForward, "seek_forward", &["]"], Group::Recording, "ten Snapshots on"),
    entry(Action::SeekFirst, "seek_first", &["{"], Group::Recording, "to the beginning"),
    entry(Action::SeekLast, "seek_last", &["}"], Group::Recording, "to the end"),
];

impl Action {
    /// The action of that name.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.iter().find(|entry| entry.name == name).map(|entry| entry.action)
    }
}
