//! The kernel's own description of its types.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _},
    path::{Path, PathBuf},
};

use btf_rs::{Backend, Btf, BtfType, Type};

use super::Blind;

/// Folder in which the kernel shows its BTF.
const FOLDER: &str = "/sys/kernel/btf";

/// The modules whose types we need, besides the kernel image's.
pub const MODULES: [&str; 3] = ["hv_vmbus", "vsock", "hv_sock"];

/// The family of 2016, where it is loaded in place of hv_sock.
const AF_HYPERV: &str = "af_hyperv";

/// BTF of the kernel image and of the modules that matter.
pub struct TypeInfo {
    image: Btf,
    modules: Vec<(String, Btf)>,
    searched: RefCell<HashMap<String, Vec<u32>>>,
}

impl TypeInfo {
    /// Reads the running kernel's BTF. Modules without BTF, or that are built in, are left out.
    pub fn from_kernel() -> Result<Self, Blind> {
        Self::from_folder(Path::new(FOLDER))
    }

    /// The same from another folder with files of the same names.
    pub fn from_folder(folder: &Path) -> Result<Self, Blind> {
        let path = folder.join("vmlinux");
        if !path.exists() {
            return Err(Blind::NoBtf { path: path.display().to_string() });
        }
        let image = read_image(&path)?;
        let mut modules = Vec::new();
        for name in MODULES.into_iter().chain([AF_HYPERV]) {
            let path = folder.join(name);
            if path.exists() {
                let btf = Btf::from_split_file(&path, &image).map_err(|e| bad(&path, &e))?;
                modules.push((name.to_owned(), btf));
            }
        }
        Ok(Self { image, modules, searched: RefCell::default() })
    }

    /// Where each module's or the image's BTF lies.
    pub fn path_of(module: Option<&str>) -> PathBuf {
        Path::new(FOLDER).join(module.unwrap_or("vmlinux"))
    }

    /// Whether the module has BTF of its own.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|(module, _)| module == name)
    }

    /// Everything of this name, the modules' own first.
    fn named(&self, name: &str) -> Vec<(&Btf, u32)> {
        let modules =
            self.modules.iter().flat_map(|(_, btf)| in_split(btf, name).into_iter().map(move |id| (btf, id)));
        let mut all: Vec<_> = modules.collect();
        all.extend(self.in_image(name).into_iter().map(|id| (&self.image, id)));
        all
    }

    /// Types of this name in the image. Every search walks all of them, so results are kept.
    fn in_image(&self, name: &str) -> Vec<u32> {
        if let Some(ids) = self.searched.borrow().get(name) {
            return ids.clone();
        }
        let ids = self.image.base().resolve_ids_by_name(name).unwrap_or_default();
        self.searched.borrow_mut().insert(name.to_owned(), ids.clone());
        ids
    }

    /// Offset in bytes of a member, given as `struct.member.member[index]`. Members of anonymous structs and unions are found by their
    /// own name. Types are looked for in the modules first: hv_vmbus's are there, or in the image when it is built in.
    pub fn offset(&self, path: &str) -> Option<u32> {
        let (root, members) = path.split_once('.')?;
        self.named(root).into_iter().find_map(|(btf, id)| match btf.resolve_type_by_id(id) {
            Ok(Type::Struct(found) | Type::Union(found)) => member(btf, &found, members),
            _ => None,
        })
    }

    /// BTF id of a function in the kernel image (`None`) or a module.
    pub fn function(&self, module: Option<&str>, name: &str) -> Option<u32> {
        let (btf, ids) = match module {
            None => (&self.image, self.in_image(name)),
            Some(module) => {
                let (_, btf) = self.modules.iter().find(|(m, _)| m == module)?;
                (btf, in_split(btf, name))
            }
        };
        ids.into_iter().find(|&id| matches!(btf.resolve_type_by_id(id), Ok(Type::Func(_))))
    }

    /// How many arguments the function with this id takes.
    pub fn arguments(&self, module: Option<&str>, id: u32) -> Option<usize> {
        let btf = match module {
            None => &self.image,
            Some(module) => &self.modules.iter().find(|(m, _)| m == module)?.1,
        };
        let Ok(Type::Func(function)) = btf.resolve_type_by_id(id) else { return None };
        match btf.resolve_chained_type(&function) {
            Ok(Type::FuncProto(prototype)) => Some(prototype.parameters.len()),
            _ => None,
        }
    }

    /// Where a function of this name is: in a module, or in the image (`Some(None)`).
    pub fn module_with(&self, name: &str) -> Option<Option<&str>> {
        let module = self.modules.iter().map(|(module, _)| module.as_str());
        module.map(Some).chain([None]).find(|place| self.function(*place, name).is_some())
    }

    /// Value of an enumerator, wherever it is defined.
    pub fn enumerator(&self, enumeration: &str, name: &str) -> Option<u32> {
        self.named(enumeration).into_iter().find_map(|(btf, id)| match btf.resolve_type_by_id(id) {
            Ok(Type::Enum(found)) => found
                .members
                .iter()
                .find(|m| btf.resolve_name(*m).is_ok_and(|n| n == name))
                .map(btf_rs::EnumMember::val),
            _ => None,
        })
    }
}

/// Reads the kernel image's BTF. Mapped, its types and names are looked at only where they are asked for; read as a stream, each of its
/// 100,000 and more is turned into an object first, which was a quarter of the whole start-up. Few kernels let the file in sysfs be mapped, so
/// a copy of it in memory is.
fn read_image(path: &Path) -> Result<Btf, Blind> {
    let copy = || -> std::io::Result<File> {
        // SAFETY: passes a valid string; the result is checked before it is owned.
        let fd = unsafe { libc::memfd_create(c"btf".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else.
        let mut file = unsafe { File::from_raw_fd(fd) };
        std::io::copy(&mut File::open(path)?, &mut file)?;
        Ok(file)
    };
    let file = copy().map_err(|e| Blind::Read { path: path.display().to_string(), reason: e.to_string() })?;
    let copied = format!("/proc/self/fd/{}", file.as_raw_fd());
    // The mapping outlives the descriptor.
    Btf::from_file_with_backend(copied, Backend::Mmap).map_err(|e| bad(path, &e))
}

fn bad(path: &Path, error: &btf_rs::Error) -> Blind {
    let reason = error.to_string();
    Blind::BadBtf { path: path.display().to_string(), reason }
}

/// Types of this name that a module brought along, not those of the image.
fn in_split(btf: &Btf, name: &str) -> Vec<u32> {
    btf.split().and_then(|split| split.resolve_ids_by_name(name).ok()).unwrap_or_default()
}

/// Offset of `path` within `container`.
fn member(btf: &Btf, container: &btf_rs::Struct, path: &str) -> Option<u32> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, index) = match head.split_once('[') {
        Some((name, index)) => (name, Some(index.trim_end_matches(']').parse::<u32>().ok()?)),
        None => (head, None),
    };
    for candidate in &container.members {
        let here = candidate.bit_offset() / 8;
        let called = btf.resolve_name(candidate).unwrap_or_default();
        if called.is_empty() {
            // An anonymous struct or union: its members count as ours.
            let (Type::Struct(inner) | Type::Union(inner)) = plain(btf, candidate)? else { continue };
            if let Some(offset) = member(btf, &inner, path) {
                return Some(here + offset);
            }
            continue;
        }
        if called != name {
            continue;
        }
        if candidate.bitfield_size().is_some_and(|bits| bits != 0) {
            // A bit field has no address.
            return None;
        }
        let mut at = here;
        let mut ty = plain(btf, candidate)?;
        if let Some(index) = index {
            let Type::Array(array) = &ty else { return None };
            if index as usize >= array.len() {
                return None;
            }
            let element = plain(btf, array)?;
            at += index * size_of_type(&element)?;
            ty = element;
        }
        return match (rest, ty) {
            (None, _) => Some(at),
            (Some(rest), Type::Struct(inner) | Type::Union(inner)) => Some(at + member(btf, &inner, rest)?),
            _ => None,
        };
    }
    None
}

/// The type behind typedefs and qualifiers.
fn plain<T: BtfType + ?Sized>(btf: &Btf, from: &T) -> Option<Type> {
    let mut ty = btf.resolve_chained_type(from).ok()?;
    loop {
        ty = match &ty {
            Type::Typedef(inner) => btf.resolve_chained_type(inner).ok()?,
            Type::Const(inner) | Type::Volatile(inner) => btf.resolve_chained_type(inner).ok()?,
            _ => return Some(ty),
        };
    }
}

fn size_of_type(ty: &Type) -> Option<u32> {
    Some(match ty {
        Type::Int(int) => int.size() as u32,
        Type::Struct(inner) | Type::Union(inner) => inner.size() as u32,
        Type::Ptr(_) => 8,
        _ => return None,
    })
}
