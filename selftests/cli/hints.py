#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that texts tell people to type, against those that there are.

	hints.py VERBS FILE...

VERBS has a line for each verb: its pattern, a tab, its options, a '=' behind
those that take a value. Prints what a FILE names and nobody can type.
"""
import re
import sys

# Names in key derivations and files, which are no commands.
NAMES = ("trust context 1", "key derivation key")
END = ",;:.)!?'\"`’“”„>|&"


def load(path):
    verbs = []
    for line in open(path, encoding="utf-8"):
        pattern, _, options = line.rstrip("\n").partition("\t")
        words = pattern.split()
        verbs.append(([w.strip("[]").replace("...", "") for w in words],
                      {o.rstrip("="): o.endswith("=") for o in options.split()}))
    return verbs


def is_operand(word):
    return word[:1].isupper()


def text_of(path):
    """What is read as one text: strings of C, and quoted commands, over the ends of lines."""
    text = open(path, encoding="utf-8").read()
    if path.endswith((".c", ".h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    if path.endswith(".po"):
        text = "\n,\n".join(re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', text, flags=re.M))
    if path.endswith((".c", ".h", ".po")):
        text = re.sub(r'"\s*\n\s*"', "", text).replace("\\n", "\n")
    return re.sub(r"(['`„])(vmcrypt [^'`“]{1,200}?)(?=['`“])",
                  lambda m: m.group(1) + re.sub(r"\s*\n[\s*]*", " ", m.group(2)), text)


def words_of(text, at):
    """The words of a command that begins at @at, up to where the sentence goes on."""
    line = text[at:at + 300].split("\n", 1)[0].split("   ", 1)[0]
    words = []
    for word in line.split(" "):
        if word == "...":
            return words, True
        bare = word.rstrip(END) if word[:1] != "%" else re.sub(r"^(%[a-z]+).*", r"\1", word)
        bare = re.split(r"['\"`“’]", bare)[0]
        if bare:
            words.append(bare)
        if bare != word:
            break
    return words, False


def fits(verb, words, cut):
    """None, or what is wrong with the options."""
    pattern, options = verb
    at = 0
    words = list(words)
    wrong = ""
    for p in pattern:
        while at < len(words) and words[at].startswith("--"):
            wrong, at = option(words, at, options, wrong)
        if at == len(words):
            if is_operand(p) or cut:
                continue
            return None
        if not is_operand(p) and words[at] != p:
            # the words come from elsewhere
            return wrong if words[at] == "%s" and at + 1 == len(words) else None
        at += 1
    while at < len(words) and words[at].startswith("--"):
        wrong, at = option(words, at, options, wrong)
    return wrong


def option(words, at, options, wrong):
    name, _, value = words[at][2:].partition("=")
    if name and name not in options:
        wrong = wrong or "--" + name
    return wrong, at + (2 if options.get(name) and not value else 1)


def check(verbs, words, cut):
    found = [w for w in (fits(v, words, cut) for v in verbs) if w is not None]
    if not found:
        return "no such verb"
    wrong = [w for w in found if w]
    return "no option " + wrong[0] if len(wrong) == len(found) else ""


def main():
    verbs = load(sys.argv[1])
    families = {v[0][0] for v in verbs}
    seen = 0
    for path in sys.argv[2:]:
        text = text_of(path)
        for m in re.finditer(r"(?<![\w/.-])vmcrypt (?=[a-z])", text):
            words, cut = words_of(text, m.end())
            if " ".join(words) in NAMES:
                continue
            # "vmcrypt trust" alone names the family; what is none is a sentence about vmcrypt
            if not words or words[0] not in families or len(words) == 1 and words != verbs[0][0]:
                continue
            seen += 1
            wrong = check(verbs, words, cut)
            if wrong:
                print("%s: vmcrypt %s: %s" % (path, " ".join(words), wrong))
    if seen < 50:
        print("only %d commands were found in all texts" % seen)


main()
