"""The shared package of the course: a room for each lesson, and what the rooms share.

A lesson builds in small cells what stands finished in the room of its name
(`course_utils/<room>/`), together with the exercises' checkers (`exercises.py`) and what was
trained or recorded for it (`assets/`). A room's `__init__` says in a sentence what its lesson
builds, and exports what notebooks import.

Beside the rooms: `classroom` (what a lesson shows), `checking` (the engine of exercises), `stories`
(texts to train on), `exercises` (check, hint, solution), `assets` (stored files), `pretrained`
(trained models), `training` (the one loop).
"""

from course_utils.machine import installed

# the first number is the edition: the set-up cell of every notebook asks for it
__version__ = "2.0.0.dev0"

installed.warn()
