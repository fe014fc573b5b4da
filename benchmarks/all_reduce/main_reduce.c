/* SPDX-License-Identifier: Apache-2.0 */
#include "main.h"

int main(int argc, char **argv)
{
	return collective_main(REDUCE, argc, argv);
}
