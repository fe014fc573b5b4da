/* SPDX-License-Identifier: Apache-2.0 */
#include "main.h"

int main(int argc, char **argv)
{
	return collective_main(ALL_TO_ALL_V, argc, argv);
}
