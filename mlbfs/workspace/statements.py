"""The statements that change rows, by a number that a journal can hold.

Owns: the numbers. A statement that was in a release keeps its number and its meaning, because a
journal may hold it until a later version opens the workspace; a new one goes to the end.
Layer: workspace. Pure.
"""

from __future__ import annotations

COLUMNS = (
    "ino,mode,nlink,uid,gid,rdev,atime,mtime,ctime,gen,data,parent,base,base_size,target,content"
)
"""Of `inode`, in the order in which a row is read and added."""

(
    SET_META,
    DELETE_META,
    INSERT_NODE,
    UPDATE_NODE,
    TOUCH,
    SET_GEN,
    SET_CONTENT,
    FORGET_CONTENTS,
    DELETE_NODE,
    DELETE_NAMES,
    DELETE_EXTENTS,
    DELETE_XATTRS,
    PUT_ENTRY,
    RENEW_ENTRY,
    MOVE_ENTRY,
    DELETE_ENTRY,
    DELETE_EXTENT,
    ADD_EXTENT,
    DROP_EXTENTS_FROM,
    CUT_EXTENTS,
    SET_XATTR,
    DELETE_XATTR,
    CLEAR_NODES,
    CLEAR_ENTRIES,
    CLEAR_EXTENTS,
    CLEAR_XATTRS,
    NOTE_UNSYNCED,
    DELETE_UNSYNCED,
    CLEAR_UNSYNCED,
) = range(29)

STATEMENTS = (
    "INSERT OR REPLACE INTO meta VALUES(?,?)",
    "DELETE FROM meta WHERE key=?",
    f"INSERT INTO inode({COLUMNS}) VALUES({','.join('?' * 16)})",
    "UPDATE inode SET mode=?,nlink=?,uid=?,gid=?,rdev=?,atime=?,mtime=?,ctime=?,gen=?,data=?,"
    "parent=?,base=?,base_size=?,target=?,content=? WHERE ino=?",
    "UPDATE inode SET mtime=?,ctime=? WHERE ino=?",
    "UPDATE inode SET gen=? WHERE ino=?",
    "UPDATE inode SET content=? WHERE ino=?",
    "UPDATE inode SET content=NULL WHERE content IS NOT NULL",
    "DELETE FROM inode WHERE ino=?",
    "DELETE FROM entry WHERE parent=?",
    "DELETE FROM extent WHERE ino=?",
    "DELETE FROM xattr WHERE ino=?",
    "INSERT INTO entry VALUES(?,?,?,?,?,?) ON CONFLICT(parent,name)"
    " DO UPDATE SET ino=excluded.ino,gen=excluded.gen",
    "UPDATE entry SET gen=? WHERE parent=? AND name=? AND ino=?",
    "UPDATE entry SET off=? WHERE parent=? AND name=?",
    "DELETE FROM entry WHERE parent=? AND name=?",
    "DELETE FROM extent WHERE ino=? AND start=?",
    "INSERT OR REPLACE INTO extent VALUES(?,?,?)",
    "DELETE FROM extent WHERE ino=? AND start>=?",
    "UPDATE extent SET stop=? WHERE ino=? AND stop>?",
    "INSERT OR REPLACE INTO xattr VALUES(?,?,?)",
    "DELETE FROM xattr WHERE ino=? AND name=?",
    "DELETE FROM inode",
    "DELETE FROM entry",
    "DELETE FROM extent",
    "DELETE FROM xattr",
    "INSERT OR IGNORE INTO unsynced VALUES(?)",
    "DELETE FROM unsynced WHERE ino=?",
    "DELETE FROM unsynced",
)
