"""What a case is made of: steps, one system call each, written as a line of words.

    as 1001:1001,2001; open d/f rdwr,creat 644 @x; write @x 0 hello; rename d/f d/g

A step is answered with `ok`, with what it returned, or with the name of its errno.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import stat
import time

import libc
import words

_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE, which file systems stamp with


class NotOpenError(Exception):
    """The step that should have opened the file was refused."""


class Steps:
    """Plays the steps of one case in the current folder."""

    def __init__(self, *, is_root: bool) -> None:
        self._is_root = is_root
        self._files: dict[str, int] = {}

    def play(self, line: str) -> str:
        """Plays one step and returns its answer."""
        name, *rest = line.split()
        try:
            answer = getattr(self, f"do_{name}")(*rest)
        except OSError as err:
            return errno.errorcode[err.errno or 0]
        except NotOpenError:
            return "not open"
        return "ok" if answer is None else str(answer)

    def end(self) -> None:
        """Closes what is open, and is root again."""
        self.do_as("0:0")
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        os.umask(0)

    def _target(self, word: str) -> str | int:
        return self._fd(word) if word.startswith("@") else words.path(word)

    def _fd(self, word: str) -> int:
        try:
            return self._files[word]
        except KeyError:
            raise NotOpenError from None

    # Who, and when

    def do_as(self, identity: str) -> None:
        """Takes the effective user, group and further groups `uid:gid,group,...`."""
        if not self._is_root:
            return
        uid, _, groups = identity.partition(":")
        first, *others = [int(group) for group in groups.split(",")]
        os.seteuid(0)
        os.setegid(first)
        os.setgroups(others)
        os.seteuid(int(uid))

    def do_umask(self, mask: str) -> None:
        os.umask(int(mask, 8))

    def do_tick(self) -> None:
        """Waits until the clock that files are stamped with goes on: some milliseconds."""
        began = time.clock_gettime_ns(_COARSE_CLOCK)
        while time.clock_gettime_ns(_COARSE_CLOCK) == began:
            os.sched_yield()

    def do_chdir(self, path: str) -> None:
        here = os.open(".", os.O_PATH)
        try:
            os.chdir(words.path(path))
            os.fchdir(here)
        finally:
            os.close(here)

    # Files

    def do_open(self, path: str, how: str, *rest: str) -> str | None:
        """Opens; never blocks on a FIFO. `@name` keeps it open."""
        keep = rest[-1] if rest and rest[-1].startswith("@") else None
        mode = int(rest[0], 8) if rest and rest[0] != keep else 0
        flags = words.flags(words.OPEN, how) | os.O_NONBLOCK
        fd = os.open(words.path(path), flags, mode)
        if keep is None:
            os.close(fd)
        else:
            self._files[keep] = fd

    def do_create(self, path: str, mode: str) -> None:
        os.close(os.open(words.path(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, int(mode, 8)))

    def do_close(self, file: str) -> None:
        os.close(self._files.pop(file))

    def do_dup(self, file: str, other: str) -> None:
        self._files[other] = os.dup(self._fd(file))

    def do_write(self, file: str, offset: str, data: str) -> int:
        """Writes at an offset; `-` is where the file stands."""
        if offset == "-":
            return os.write(self._fd(file), words.data(data))
        return os.pwrite(self._fd(file), words.data(data), words.size(offset))

    def do_write0(self, file: str) -> int:
        return os.write(self._fd(file), b"")

    def do_put(self, path: str, data: str) -> None:
        """Writes over the start of a file."""
        fd = os.open(words.path(path), os.O_WRONLY)
        try:
            os.write(fd, words.data(data))
        finally:
            os.close(fd)

    def do_read(self, file: str, offset: str, count: str) -> str:
        found = os.pread(self._fd(file), words.size(count), words.size(offset))
        return f"{len(found)}:{found.strip(bytes(1))[:40]!r}"

    def do_readdirect(self, file: str, offset: str, count: str) -> str:
        """Reads into memory that is aligned as O_DIRECT wants it."""
        with mmap.mmap(-1, 1 << 20) as room, memoryview(room) as view:
            got = os.preadv(self._fd(file), [view[: words.size(count)]], words.size(offset))
            return f"{got}:{bytes(view[: min(got, 40)])!r}"

    def do_seek(self, file: str, offset: str, whence: str) -> int:
        return os.lseek(self._fd(file), words.size(offset), words.WHENCE[whence])

    def do_truncate(self, target: str, size: str) -> None:
        os.truncate(self._target(target), words.size(size))

    def do_fallocate(self, file: str, mode: str, offset: str, length: str) -> None:
        where = words.size(offset), words.size(length)
        libc.fallocate(self._fd(file), words.flags(words.FALLOCATE, mode), *where)

    def do_copyrange(self, source: str, at: str, target: str, to: str, count: str) -> int:
        files = self._fd(source), self._fd(target), words.size(count)
        return os.copy_file_range(*files, words.size(at), words.size(to))

    def do_sendfile(self, target: str, source: str, at: str, count: str) -> int:
        return os.sendfile(self._fd(target), self._fd(source), words.size(at), words.size(count))

    def do_fsync(self, file: str) -> None:
        os.fsync(self._fd(file))

    def do_fdatasync(self, file: str) -> None:
        os.fdatasync(self._fd(file))

    def do_map(self, file: str, kind: str, offset: str, data: str) -> str:
        """Stores bytes through a map; answers what a read of the file then finds there."""
        flags = mmap.MAP_SHARED if kind == "shared" else mmap.MAP_PRIVATE
        at, stored, fd = int(offset), words.data(data), self._fd(file)
        status = os.fstat(fd)
        size = status.st_size if stat.S_ISREG(status.st_mode) else mmap.PAGESIZE
        with mmap.mmap(fd, size, flags, mmap.PROT_READ | mmap.PROT_WRITE) as view:
            view[at : at + len(stored)] = stored
            if kind == "shared":
                view.flush()
            return f"{bytes(view[:20])!r} {os.pread(fd, 20, 0)!r}"

    def do_fstat(self, file: str) -> str:
        found = os.fstat(self._fd(file))
        owner = f"{found.st_mode:o} {found.st_uid}:{found.st_gid}"
        if stat.S_ISDIR(found.st_mode):  # its size is nobody's business
            return f"{owner} links={min(found.st_nlink, 1)}"
        return f"{owner} links={found.st_nlink} size={found.st_size}"

    # Names

    def do_mkdir(self, path: str, mode: str) -> None:
        os.mkdir(words.path(path), int(mode, 8))

    def do_rmdir(self, path: str) -> None:
        os.rmdir(words.path(path))

    def do_unlink(self, path: str) -> None:
        os.unlink(words.path(path))

    def do_link(self, old: str, new: str) -> None:
        os.link(words.path(old), words.path(new), follow_symlinks=False)

    def do_linkfd(self, file: str, new: str) -> None:
        """Gives an open file a name again."""
        os.link(f"/proc/self/fd/{self._fd(file)}", words.path(new), follow_symlinks=True)

    def do_symlink(self, target: str, path: str) -> None:
        os.symlink(words.path(target), words.path(path))

    def do_rename(self, old: str, new: str) -> None:
        os.rename(words.path(old), words.path(new))

    def do_renameat2(self, old: str, new: str, how: str) -> None:
        libc.renameat2(words.path(old), words.path(new), words.flags(words.RENAME, how))

    def do_mkfifo(self, path: str, mode: str) -> None:
        os.mkfifo(words.path(path), int(mode, 8))

    def do_mknod(self, path: str, kind: str, mode: str, device: str = "0:0") -> None:
        major, minor = (int(number) for number in device.split(":"))
        device_number = os.makedev(major, minor)
        os.mknod(words.path(path), words.TYPES[kind] | int(mode, 8), device_number)

    def do_readlink(self, path: str) -> str:
        return os.readlink(words.path(path))

    def do_list(self, path: str) -> str:
        return " ".join(sorted(os.listdir(words.path(path))))

    def do_stat(self, path: str) -> str:
        return f"{os.stat(words.path(path)).st_mode:o}"

    def do_lstat(self, path: str) -> str:
        return f"{os.lstat(words.path(path)).st_mode:o}"

    def do_same(self, one: str, other: str) -> bool:
        return os.path.samefile(self._target(one), self._target(other))

    # Attributes

    def do_chmod(self, target: str, mode: str) -> None:
        os.chmod(self._target(target), int(mode, 8))

    def do_chown(self, target: str, uid: str, gid: str) -> None:
        os.chown(self._target(target), int(uid), int(gid))

    def do_lchown(self, path: str, uid: str, gid: str) -> None:
        os.lchown(words.path(path), int(uid), int(gid))

    def do_utime(self, target: str, atime: str, mtime: str) -> None:
        libc.utimensat(self._target(target), atime, mtime)

    def do_lutime(self, path: str, atime: str, mtime: str) -> None:
        libc.utimensat(words.path(path), atime, mtime, follow=False)

    def do_times(self, path: str) -> str:
        found = os.lstat(words.path(path))
        # Whoever looks at a link moves its access time.
        atime_ns = 0 if stat.S_ISLNK(found.st_mode) else found.st_atime_ns
        return f"{atime_ns} {found.st_mtime_ns}"

    def do_access(self, path: str, how: str) -> bool:
        """Asks for the effective identity what access(2) asks for the real one."""
        mode = sum({"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}.get(c, 0) for c in how)
        return os.access(words.path(path), mode, effective_ids=True)

    def do_setx(self, target: str, name: str, value: str, how: str = "any") -> None:
        value_bytes = b"" if value == "''" else words.data(value)
        os.setxattr(self._target(target), words.path(name), value_bytes, words.XATTR[how])

    def do_lsetx(self, path: str, name: str, value: str) -> None:
        os.setxattr(words.path(path), name, words.data(value), follow_symlinks=False)

    def do_getx(self, target: str, name: str) -> str:
        found = os.getxattr(self._target(target), words.path(name))
        return f"{len(found)}:{found[:20]!r}"

    def do_listx(self, target: str) -> str:
        return " ".join(sorted(os.listxattr(self._target(target))))

    def do_rmx(self, target: str, name: str) -> None:
        os.removexattr(self._target(target), words.path(name))

    def do_namemax(self, path: str) -> str:
        found = os.statvfs(words.path(path))
        room = found.f_blocks >= found.f_bfree >= found.f_bavail > 0 and found.f_files > 0
        return f"{found.f_namemax} {found.f_frsize} {room}"

    def do_pathconf(self, path: str, name: str) -> int:
        return os.pathconf(words.path(path), name)

    # Other processes

    def do_exec(self, path: str) -> str:
        """Runs a program, as the effective user, and answers its exit code."""
        child = os.fork()
        if child == 0:
            _run(words.path(path))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return errno.errorcode[code - 100] if code > 100 else f"exit {code}"

    def do_flock(self, file: str, how: str) -> None:
        fcntl.flock(self._fd(file), _LOCKS[how] | fcntl.LOCK_NB)

    def do_lockf(self, file: str, how: str, start: str, length: str) -> None:
        wait = 0 if how == "un" else fcntl.LOCK_NB
        fcntl.lockf(self._fd(file), _LOCKS[how] | wait, int(length), int(start))

    def do_other(self, *step: str) -> str:
        """Plays a step in another process, which has this one's files open."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, self.play(" ".join(step)).encode())
            os.kill(os.getpid(), signal.SIGKILL)  # nothing of this process is to be tidied up
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            answer = answers.read().decode()
        os.waitpid(child, 0)
        return answer

    def do_otherlock(self, path: str, how: str, start: str = "0", length: str = "0") -> str:
        """Opens a file in another process and tries to lock it: a range, or all by flock."""
        kind = f"lockf @other {how} {start} {length}" if length != "0" else f"flock @other {how}"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            self.play(f"open {path} rdwr @other")
            os.write(writer, self.play(kind).encode())
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            answer = answers.read().decode()
        os.waitpid(child, 0)
        return answer


_LOCKS = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}


def _run(path: str) -> None:
    """Becomes a program; exits with 100 and the errno if that fails."""
    try:
        uid, gid = os.geteuid(), os.getegid()
        if os.getuid() == 0:
            os.seteuid(0)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        os.execv(path, ["program"])
    except OSError as err:
        os._exit(100 + (err.errno or 0))
