/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/report.h"
#include "observe/screen.h"

#ifdef HAVE_NCURSES
#include <curses.h>

bool screen_usable(void)
{
	const char *term = getenv("TERM");

	return term && *term && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
}

static chtype screen_look(enum report_tone tone)
{
	switch (tone) {
	case REPORT_TITLE: return A_BOLD;
	case REPORT_TROUBLE: return has_colors() ? (chtype)COLOR_PAIR(1) | A_BOLD : A_REVERSE;
	case REPORT_FAINT: return A_DIM;
	case REPORT_PLAIN: break;
	}
	return A_NORMAL;
}

static void draw(const struct report_lines *lines, int top)
{
	int row, rows = LINES - 1;

	erase();
	for (row = 0; row < rows && (size_t)(top + row) < lines->count; row++) {
		attrset((int)screen_look(lines->line[top + row].tone));
		mvaddnstr(row, 0, lines->line[top + row].text, COLS);
	}
	attrset(A_REVERSE);
	mvaddnstr(LINES - 1, 0, " q quit   Up, Down, PgUp, PgDn scroll ", COLS);
	attrset(A_NORMAL);
	refresh();
}

/* The first line shown after a key, or -1: quit. */
static int turn(int key, int top, const struct report_lines *lines)
{
	int page = LINES > 2 ? LINES - 2 : 1, last = (int)lines->count - 1;

	switch (key) {
	case 'q':
	case 'Q': return -1;
	case KEY_UP: top--; break;
	case KEY_DOWN: top++; break;
	case KEY_PPAGE: top -= page; break;
	case KEY_NPAGE:
	case ' ': top += page; break;
	case KEY_HOME: top = 0; break;
	default: break;
	}
	if (top > last)
		top = last;
	return top < 0 ? 0 : top;
}

/* Shows one view until the next is due. Returns the first line shown, or -1: quit; -2: out of memory. */
static int show(const struct view *v, int top, double seconds)
{
	struct report_lines lines = {0};
	int key, left = (int)(seconds * 10) + 1;

	if (report_text(v, COLS, &lines))
		return -2;
	top = turn(ERR, top, &lines);
	draw(&lines, top);
	timeout(100);
	while (top >= 0 && left-- > 0) {
		key = getch();
		if (key == ERR)
			continue;
		top = turn(key, top, &lines);
		if (key == KEY_RESIZE && report_text(v, COLS, &lines))
			top = -2;
		if (top >= 0)
			draw(&lines, top);
	}
	report_lines_free(&lines);
	return top;
}

int screen_run(const struct snapshot_want *want, double seconds)
{
	struct snapshot *before = NULL, *now;
	struct view *v;
	int top = 0;

	initscr();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
	}
	while (top >= 0) {
		now = snapshot_take(want);
		v = now ? view_make(before, now) : NULL;
		top = v ? show(v, top, before ? seconds : 0.5) : -2;
		view_free(v);
		snapshot_free(before);
		before = now;
	}
	snapshot_free(before);
	endwin();
	return top == -2 ? -ENOMEM : 0;
}

#else

bool screen_usable(void)
{
	return false;
}

int screen_run(const struct snapshot_want *want, double seconds)
{
	(void)want;
	(void)seconds;
	return -ENOSYS;
}

#endif
